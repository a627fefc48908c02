"""Growing what is no classifier: told what is asked instead, and that goes on from what was learned where the task says how."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import regraft as rg
from regraft.errors import RequestError
from regraft.tasks import of
from regraft.testing.hosts import trunk_of
from small_decoder import decoder_folder, echoes, write

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import masked

WORDS = ("refund", "parcel", "login", "card", "late")
OPTIONS = {"strategy": "top(n=0)", "epochs": 1.0, "lr": 1e-3, "batch_size": 16, "refit": False}
NAMES = ("text-regression", "text-multilabel", "text-classification,text-regression")


def table(path: Path, seed: int) -> Path:
    """Texts with a number, a set of words and a kind each."""
    chance = np.random.default_rng(seed)
    texts = [" ".join(chance.choice(WORDS, 4)) + f" {seed} {i}" for i in range(50)]
    rows = [
        (text, text.count("late") + 0.5, "|".join(word for word in WORDS[:2] if word in text) or "card|login", text.split()[0])
        for text in texts
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "score", "labels", "kind"), *rows])
    return path


def refused(generation: rg.Generation, data: Path, **options: object) -> str:
    with pytest.raises(RequestError) as caught:
        generation.grow(data, **options)
    return str(caught.value)


@pytest.mark.parametrize(("task", "target"), list(zip(NAMES, ("score", "labels", "kind,score"), strict=True)))
def test_other_answers_go_on_as_a_head_of_their_own(task, target, model, tmp_path):
    first, later = (table(tmp_path / f"{seed}.csv", seed) for seed in (0, 1))
    made = rg.tune(first, model=model, store=tmp_path / "store", name="mine", task=task, target=target, controls=False, **OPTIONS)
    found = refused(made, later)
    assert "only classifiers take on more of the same" in found
    typed = f"--task {task} --target {target}" if "," in task else f"--task {task}"
    assert f"try:   --new-task NAME {typed}, for a head of its own on this trunk: it learns anew, and mine stays as it is" in found
    child = made.grow(later, new_task="more", task=task, target=target, control=False, controls=False, epochs=1.0)
    assert child.record.parent == made.digest and child.record.manifest["task"] == made.record.manifest["task"]


def test_data_that_cannot_be_read_is_not_what_is_said_first(model, tmp_path):
    made = rg.tune(
        table(tmp_path / "0.csv", 0), model=model, store=tmp_path / "store", name="mine", task=NAMES[0], target="score", **OPTIONS
    )
    assert "only classifiers take on more" in refused(made, tmp_path / "nowhere.csv", way="deep")


def test_a_language_model_goes_on_in_its_own_words(tmp_path):
    records, options = echoes(60), {**OPTIONS, "strategy": "lora(rank=2)"}
    first, later = write(tmp_path / "a.json", records[:30]), write(tmp_path / "b.json", records[30:])
    made = rg.tune(
        first, model=f"file:{decoder_folder(tmp_path / 'decoder', tied=False)}", store=tmp_path / "store", name="says", **options
    )
    found = refused(made, later)
    assert "--new-task NAME --task causal-language-model" in found and "the model's own words go on, and says stays as it is" in found
    child = made.grow(later, new_task="more", task="causal-language-model", control=False, **options)
    assert "perplexity" in child.metrics["test"]


def test_a_head_of_masks_begins_with_what_the_parents_knows(tmp_path):
    data = masked.splits(tmp_path / "masked", train=8, valid=3, test=3)
    options = {"input_size": 32, "augment": {}, "lr": 1e-2, "batch_size": 4, "refit": False, "dropout": 0.0}
    made = rg.tune(data, model="module:regraft.testing.hosts.trunk_of?name=timm resnet10t", store=tmp_path / "store", name="marks", strategy="top(n=0)",
                   epochs=1.0, **options)  # fmt: skip
    assert "it begins with what this one's knows" in refused(made, data)
    again = made.grow(data, new_task="again", task="semantic-segmentation", control=False, epochs=1.0, **{**options, "lr": 1e-9})
    assert any(reason.startswith("the head begins with what marks learned of the") for reason in again.document["plan"]["reasons"])
    assert again.metrics["test"] == made.metrics["test"]


def test_rows_of_masks_are_carried_by_name_and_other_maps_not_at_all():
    task = of("semantic-segmentation")
    trunk = trunk_of("timm resnet10t")
    head, made = task.head(trunk, 2), task.head(trunk, 3)
    fresh = made.linear.weight[1].clone()
    task.carry(head, made, ["road", "sky"], ["sky", "tree", "road"])
    assert torch.equal(made.linear.weight[0], head.linear.weight[1]) and torch.equal(made.linear.weight[2], head.linear.weight[0])
    assert torch.equal(made.linear.weight[1], fresh) and torch.equal(made.context.weight, head.context.weight)
    other = task.head(trunk_of("timm convnext_atto"), 2)
    before = other.linear.weight.clone()
    assert torch.equal(task.carry(head, other, ["a", "b"], ["a", "b"]).linear.weight, before)
