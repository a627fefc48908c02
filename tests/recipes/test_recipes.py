"""Every recipe runs as written on a small cut of real data; only its weights, its length and the size of its images are made small."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import small_models

from regraft.cli.resolve import resolved
from regraft.lineage import Store
from regraft.plan import recipe as recipes
from regraft.plan.settings import Settings
from regraft.trunk.catalogue import available
from regraft.tune.conduct import tune
from small_decoder import decoder_folder

RECIPES = Path(__file__).parents[2] / "recipes"
IN_PLACE_OF = {
    "torchvision:alexnet": "module:small_models.alexnet",
    "torchvision:vgg16": "module:small_models.vgg16",
    "timm:resnet50.a1_in1k": "module:small_models.resnet50",
    "timm:vit_base_patch16_224.augreg_in21k": "module:small_models.vit_b16",
}
DATA = {
    "alexnet_full": "flowers12", "alexnet_last_layers": "flowers12", "vgg16_first_layers_frozen": "flowers12",
    "resnet50_first_layers_frozen": "flowers12", "resnet50_cifar10": "cifar10", "vit_b16_head": "flowers12",
    "chest_xray": "chest_xray", "chest_xray_scratch": "chest_xray", "industrial_defects": "magnetic_tile",
    "industrial_masks": "magnetic_tile masks",
    "spoken_words": "speech_commands_mini", "spoken_digits_ctc": "fsdd",
    "bert_full": "banking77", "bert_lora": "banking77",
    "entailment_pairs": "rte", "several_tasks": "sick", "relatedness_score": "sick", "emotions": "goemotions", "entities": "ner_wnut17",
    "credit_risk": "german_credit", "street_scenes": "camvid", "word_vectors": "sst2", "character_vectors": "chnsenticorp",
    "instructions_lora": "alpaca_en_demo.json", "preferences": "dpo_en_demo.json",
}  # fmt: skip
TABLES = ("banking77", "sst2", "chnsenticorp")
PER_CLASS, CLASSES = 8, 3
FIRST = {
    "rte": ("train.csv", 61),
    "sick": ("train.csv", 61),
    "goemotions": ("train.csv", 61),
    "ner_wnut17": ("train.tsv", 600),
    "german_credit": ("train.csv", 61),
}
"""Data of which the first lines of the training file do, and how many."""


def test_every_recipe_has_data_here():
    assert {path.stem for path in RECIPES.glob("*.yaml")} == set(DATA)
    assert len(DATA) == 25


@pytest.mark.parametrize("name", sorted(DATA))
def test_a_recipe_runs_as_written(name, shared_data, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    asked = recipes.read(RECIPES / f"{name}.yaml")
    cut, texts = cut_of(shared_data, DATA[name], tmp_path)
    small: dict[str, Any] = {"epochs": 1.0, "seed": 3, "name": name, "model": model_of(asked["model"], tmp_path, texts)}
    if "input_size" in asked.get("settings", {}):
        small["input_size"] = 32
    reference, options = resolved(str(cut), {**small, "recipe": str(RECIPES / f"{name}.yaml"), "set": None})
    generation = tune(reference, store=tmp_path / "store", **options)
    plan = generation.record.manifest["plan"]
    assert same_words(plan["strategy"], asked["strategy"])
    given = {key: value for key, value in asked.get("settings", {}).items() if key not in small}
    assert {key: plan["settings"][key] for key in given} == given
    assert given.keys() <= {field.name for field in fields(Settings)}
    headline = generation.metrics["test"][generation.predictor.task.headline]
    assert headline["low"] <= headline["value"] <= headline["high"]
    assert headline["n"] >= 2
    assert Store(tmp_path / "store").get(name).digest == generation.digest
    assert Path(generation.document["report"]).is_file()


def same_words(one: str, other: str) -> bool:
    from regraft.plan.strategy import parse

    return str(parse(one)) == str(parse(other))


def model_of(reference: str, folder: Path, texts: list[str]) -> str:
    """Itself where it can be loaded here without a network and is quick, else the same architecture with random weights."""
    if reference.startswith("hf:bert") or reference == "bundled:minilm":
        return small_models.bert(folder / "bert", texts)
    if reference == "bundled:decoder":
        return f"file:{decoder_folder(folder / 'decoder')}"
    if reference == "bundled:vision" and not any(model.reference == reference and model.offline for model in available()):
        return "module:small_models.resnet50"
    if reference.startswith("vectors:"):
        return small_models.vectors(folder, reference, texts)
    return IN_PLACE_OF.get(reference, reference)


def cut_of(shared: Path, name: str, folder: Path) -> tuple[Path, list[str]]:
    """A few examples of a few classes: class folders of links to the images, or a table. And the texts, for the vocabulary."""
    if name in TABLES:
        return table_of(shared / name / "train.csv", folder / "cut.csv")
    if name in FIRST:
        file, count = FIRST[name]
        cut = head_of(shared / name / file, folder / file, count)
        return cut, cut.read_text(encoding="utf-8").splitlines()
    if name.endswith(".json"):
        return told(shared / "llm" / name, folder / "cut.json"), []
    if name == "fsdd":
        return digits(shared / name, folder / "cut"), []
    if name == "camvid":
        return masked(shared / name, folder / "cut"), []
    if name == "magnetic_tile masks":
        return tiles(shared / "magnetic_tile", folder / "cut"), []
    source = shared / name / "train" if (shared / name / "train").is_dir() else shared / name
    source = source / "images" if (source / "images").is_dir() else source
    classes = sorted(path for path in source.iterdir() if path.is_dir())[:CLASSES]
    assert len(classes) >= 2
    for each in classes:
        place = folder / "cut" / each.name
        place.mkdir(parents=True)
        images = sorted(path for path in each.rglob("*") if path.suffix in (".jpg", ".jpeg", ".png", ".wav"))[:PER_CLASS]
        assert len(images) == PER_CLASS
        for image in images:
            (place / image.name).symlink_to(image.resolve())
    return folder / "cut", []


def told(source: Path, place: Path) -> Path:
    """The first records that are not long."""
    short = [record for record in json.loads(source.read_text(encoding="utf-8")) if len(json.dumps(record)) < 1_500]
    place.write_text(json.dumps(short[:40]), encoding="utf-8")
    return place


def digits(source: Path, place: Path) -> Path:
    """A few clips of each digit beside a table that writes them out."""
    place.mkdir()
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    chosen = [f"{digit}_{speaker}_{index}.wav" for index in range(2) for speaker in ("jackson", "theo") for digit in range(10)]
    with (place / "data.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file", "transcript"), *((name, words[int(name[0])]) for name in chosen)])
    for name in chosen:
        (place / name).symlink_to((source / "recordings" / name).resolve())
    return place / "data.csv"


def masked(source: Path, place: Path) -> Path:
    """The first images of each split and their masks."""
    for split in ("train", "val", "test"):
        for level in ("images", "masks"):
            (place / split / level).mkdir(parents=True)
            for file in sorted((source / split / level).iterdir())[:PER_CLASS]:
                (place / split / level / file.name).symlink_to(file.resolve())
    return place


def tiles(source: Path, place: Path) -> Path:
    """The first tiles of some classes and their masks."""
    for split, kind, level in product(("train", "test"), ("crack", "blowhole", "free"), ("images", "masks")):
        (place / split / level / kind).mkdir(parents=True)
        for file in sorted((source / split / level / kind).iterdir())[:4]:
            (place / split / level / kind / file.name).symlink_to(file.resolve())
    return place


def head_of(source: Path, place: Path, count: int) -> Path:
    """The header and the first rows of a table, or the first sentences of a CoNLL file."""
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    place.write_text("".join(lines[:count]), encoding="utf-8")
    return place


def table_of(source: Path, place: Path) -> tuple[Path, list[str]]:
    by_class: dict[str, list[str]] = defaultdict(list)
    with source.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        text, label = rows.fieldnames or ("text", "label")
        for row in rows:
            by_class[row[label]].append(row[text])
    chosen = [(text, label) for label in sorted(by_class)[:CLASSES] for text in by_class[label][: 2 * PER_CLASS]]
    with place.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *chosen])
    return place, [text for text, _ in chosen]
