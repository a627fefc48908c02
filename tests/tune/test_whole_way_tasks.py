"""From data to a generation and back for every form of task: what is learned, measured, compared, predicted and drawn."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import regraft as rg
from regraft.errors import PlanError

WORDS = ("refund", "parcel", "login", "card", "late", "please", "where", "is", "my", "the")
OPTIONS = {"epochs": 2.0, "lr": 3e-3, "batch_size": 16, "refit": False}


def texts(count: int, seed: int = 0) -> list[str]:
    chance = np.random.default_rng(seed)
    return [" ".join(chance.choice(WORDS, 5)) + f" {i}" for i in range(count)]


def write(path: Path, columns: dict[str, list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path


def score(text: str) -> float:
    return 10.0 + 2.5 * text.count("refund") - 1.5 * text.count("parcel") + text.count("late")


def made(data: Path, model: str, folder: Path, **options: object) -> rg.Generation:
    return rg.tune(data, model=model, store=folder / "store", **{**OPTIONS, **options})


def page_of(generation: rg.Generation) -> str:
    return Path(generation.document["report"]).read_text(encoding="utf-8")


def test_numbers(model, tmp_path):
    given = texts(120)
    data = write(tmp_path / "scores.csv", {"text": given, "score": [f"{score(t):.2f}" for t in given]})
    probe = made(data, model, tmp_path, strategy="linear_probe", name="probe", task="text-regression")
    full = made(data, model, tmp_path, strategy="lp_ft", name="full", task="text-regression", epochs=4.0)
    assert probe.metrics["test"]["r2"]["low"] <= probe.metrics["test"]["r2"]["value"]
    found = rg.open("full", store=tmp_path / "store").evaluate(str(data), against=probe)
    assert found["against"]["metric"] == "r2" and found["metrics"]["r2"]["value"] > 0.15
    answers = full.predict(given[:3])
    assert [set(answer) for answer in answers] == [{"input", "value"}] * 3
    assert all(5 < answer["value"] < 20 for answer in answers), "in units of the data, not of the loss"
    assert "Predicted and true" in page_of(full) and "farthest from the truth" in page_of(full)


def test_a_pair_of_texts_with_lora_from_the_cache(model, tmp_path):
    first, second = texts(60), texts(60, seed=1)
    labels = ["same" if "refund" in a and "refund" in b else "other" for a, b in zip(first, second, strict=True)]
    data = write(tmp_path / "pairs.csv", {"sentence1": first, "sentence2": second, "label": labels})
    found = made(data, model, tmp_path, strategy="freeze(below=blocks.1)+lora(rank=2)", name="pairs")
    assert found.document["task"] == "text-pair-classification"
    assert found.record.manifest["cost"]["cache"]["phases_cached"] == 1
    (answer,) = found.predict([(first[0], second[0])])
    assert answer["label"] in ("same", "other") and answer["input"] == [first[0], second[0]]
    assert answer == rg.open("pairs", store=tmp_path / "store").predict([f"{first[0]}\t{second[0]}"])[0] | {"input": answer["input"]}


def test_sets_with_thresholds_that_valid_decides(model, tmp_path):
    given = texts(120)
    labels = ["|".join(word for word in WORDS[:3] if word in text) or "login|card" for text in given]
    data = write(tmp_path / "sets.csv", {"text": given, "labels": labels, "split": [*["train"] * 80, *["valid"] * 20, *["test"] * 20]})
    found = made(data, model, tmp_path, strategy="lp_ft", name="sets")
    thresholds = found.record.manifest["facts"]["thresholds"]
    assert len(thresholds) == len(found.classes) and set(thresholds) != {0.5}
    assert {"macro_f1", "micro_f1", "mean_average_precision"} <= set(found.metrics["test"])
    again = rg.open("sets", store=tmp_path / "store")
    assert again.evaluate(str(data), split="test")["metrics"] == found.metrics["test"], "by the thresholds that were stored"
    assert set(again.predict(given[:1])[0]) == {"input", "labels", "top"}


def test_levels_of_a_scale(model, tmp_path):
    given = texts(90)
    data = write(tmp_path / "stars.csv", {"text": given, "label": [str(min(4, t.count("refund") + t.count("late"))) for t in given]})
    found = made(data, model, tmp_path, strategy="lp_ft", task="text-ordinal", name="stars")
    assert {"spearman", "accuracy", "r2"} <= set(found.metrics["test"])
    assert set(found.predict(given[:1])[0]) == {"input", "label", "probability", "value"}


def test_tags_of_words(model, tmp_path):
    tagged = [[(word, "B-ask" if word in ("login", "card") else "O") for word in text.split()] for text in texts(90)]
    path = tmp_path / "words.conll"
    path.write_text("\n\n".join("\n".join("\t".join(pair) for pair in sentence) for sentence in tagged) + "\n", encoding="utf-8")
    probe = made(path, model, tmp_path, strategy="linear_probe", name="probe")
    full = made(path, model, tmp_path, strategy="top(n=1)", name="full")
    assert probe.metrics["test"]["entity_f1"]["value"] > 0.5
    assert full.record.manifest["cost"]["cache"]["phases_cached"] == 1
    found = full.evaluate(str(path), against=probe)
    assert found["against"]["metric"] == "entity_f1" and found["per_class"][0]["class"] == "ask"
    (answer,) = rg.open("full", store=tmp_path / "store").predict(["login where is my card"])
    assert answer["input"] == ["login", "where", "is", "my", "card"] and len(answer["tags"]) == 5
    assert "ask" in page_of(full)


def test_augmentation_that_moves_words_is_refused_for_tags(model, tmp_path):
    path = tmp_path / "words.conll"
    path.write_text("\n\n".join(f"Ann{i}\tB-per\nran\tO" for i in range(40)) + "\n", encoding="utf-8")
    with pytest.raises(PlanError, match="augment token-classification with word_swap"):
        made(path, model, tmp_path, strategy="full", name="swapped", augment={"word_swap": 0.5})


@pytest.mark.parametrize("task", ["text-regression", "token-classification"])
def test_plan_and_check_name_what_is_predicted(model, tmp_path, task, capsys):
    from regraft.cli.check import text
    from regraft.cli.plan_text import plan_text

    if task == "text-regression":
        data = write(tmp_path / "a.csv", {"text": texts(60), "score": [f"{i / 7:.3f}" for i in range(60)]})
    else:
        data = tmp_path / "a.jsonl"
        data.write_text(
            "\n".join(json.dumps({"tokens": t.split(), "tags": ["B-x", "O", "O", "O", "O", "O"]}) for t in texts(60)), encoding="utf-8"
        )
    plan = rg.plan(data, model=model, store=tmp_path / "store", **OPTIONS)
    said = "a number" if task == "text-regression" else "3 tags"
    assert f"{task}: {said};" in plan_text(plan)
    assert f"{task}: 60 examples, {said}" in text(rg.check(data))


def pictures(folder: Path, count: int) -> tuple[list[str], list[int]]:
    """Grey squares of different brightness, saved beside the table that names them."""
    from PIL import Image

    levels = [20 + 200 * i // count for i in range(count)]
    noise = np.random.default_rng(0)
    for i, level in enumerate(levels):
        Image.fromarray(np.clip(level + noise.normal(0, 8, (8, 8, 3)), 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return [f"{i}.png" for i in range(count)], levels


def test_images_as_numbers_sets_and_levels_mixed_with_each_other(tmp_path):
    paths, levels = pictures(tmp_path, 64)
    data = write(tmp_path / "a.csv", {
        "path": paths, "brightness": [f"{level / 7:.3f}" for level in levels], "stars": [str(level // 64) for level in levels],
        "labels": ["|".join([*(["bright"] if level > 110 else []), *(["grey"] if 60 < level < 180 else ["flat"])]) for level in levels],
    })  # fmt: skip
    mixed = {"strategy": "full", "epochs": 1.0, "augment": {"mixup": 0.4, "flip": True}}
    for target, task in (("brightness", "image-regression"), ("labels", "image-multilabel"), ("stars", "image-ordinal")):
        asked = {"task": task} if task == "image-ordinal" else {}
        found = made(data, "module:regraft.testing.toy.ToyTrunk", tmp_path, target=target, name=target, **asked, **mixed)
        assert found.document["task"] == task
        assert found.metrics["test"][found.predictor.task.headline]["n"] > 3
        (answer,) = found.predict([str(tmp_path / "3.png")])
        assert answer["input"].endswith("3.png")
        assert "data:image/jpeg" in page_of(found)
