"""Surgery on a generation and learning from one: what the verbs ``edit`` and ``distill`` promise, on a small model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import regraft as rg
from regraft.errors import LineageError, PlanError, RequestError, TrunkError
from regraft.grow.edit import undo
from regraft.lineage import Store
from small import model_folder, write_tickets

TEXTS = ["where is my parcel", "refund please", "cancel it"]
QUICK = {"epochs": 1.0, "lr": 1e-3, "batch_size": 8}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, and a store in which ``parent`` was tuned with LoRA, so that something has to be folded in."""
    folder = tmp_path_factory.mktemp("edit")
    data = write_tickets(folder / "tickets.csv")
    rg.tune(data, model=f"file:{model_folder(folder / 'model')}", store=folder / "store", strategy="lora(rank=2)", name="parent", **QUICK)
    return folder


def answers(generation: rg.Generation) -> np.ndarray:
    """(texts, classes) probabilities."""
    return np.array([[row["probability"] for row in sorted(one["top"], key=lambda row: row["label"])] for one in generation.predict(TEXTS)])


def test_an_edit_is_a_child_that_was_measured_before_and_after(place):
    made = rg.edit("parent", "drop(blocks.1)", store=place / "store", name_as="dropped")
    surgery = made.document["surgery"]
    assert made.record.parent == rg.open("parent", store=place / "store").digest
    assert surgery["stages"]["after"] == ["stem", "blocks.0", "head"]
    assert surgery["parameters"]["after"] < surgery["parameters"]["before"]
    assert surgery["before"]["test"]["accuracy"] == rg.open("parent", store=place / "store").metrics["test"]["accuracy"]
    assert made.metrics["test"] == made.document["metrics"]["test"]
    assert "drop in blocks.1" in made.report().read_text(encoding="utf-8")
    assert not surgery["keeps_function"] and {"difference", "verdict"} <= surgery["verdicts"]["test"].keys()


@pytest.mark.parametrize(
    "surgery", ["insert(adapter, after=[blocks.0, blocks.1])", "widen(factor=2)", "insert(block, after=1)+replace(head=mlp)"]
)
def test_an_edit_that_keeps_the_function_keeps_the_answers(place, surgery):
    made = rg.edit("parent", surgery, store=place / "store", name_as="same")
    assert made.document["surgery"]["keeps_function"]
    assert np.allclose(answers(made), answers(rg.open("parent", store=place / "store")), atol=1e-5)


def test_an_edited_generation_is_the_same_in_a_fresh_process(place):
    made = rg.edit(
        "parent", "prune(heads, amount=0.5)+replace(activation=relu)+replace(pooling=first)", store=place / "store", name_as="fresh"
    )
    code = f"import regraft as rg; print(rg.open('fresh', store={str(place / 'store')!r}).predict({TEXTS!r}))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == str(made.predict(TEXTS))


def test_undo_gives_back_the_function_and_stores_no_tensor(place):
    rg.edit("parent", "drop(blocks.0)", store=place / "store", name_as="gone")
    back = undo("gone", store=place / "store")
    assert np.array_equal(answers(back), answers(rg.open("parent", store=place / "store")))
    assert back.name == "gone" and back.record.parent == rg.open("gone~1", store=place / "store").digest
    assert back.record.manifest["edits"] == rg.open("parent", store=place / "store").record.manifest["edits"]
    with pytest.raises(LineageError, match="neither it nor an ancestor was edited"):
        undo("parent", store=place / "store")


def test_healing_learns_from_the_unedited_parent(place):
    made = rg.edit("parent", "drop(blocks.1)", heal=place / "tickets.csv", store=place / "store", name_as="healed", **QUICK)
    parent, edited = rg.open("parent", store=place / "store"), rg.open("healed~1", store=place / "store")
    assert f"teacher={parent.digest[:12]}" in made.record.manifest["plan"]["objective"]
    assert made.record.parent == edited.digest and edited.record.parent == parent.digest
    assert made.document["surgery"]["edited"] == edited.metrics
    assert np.array_equal(answers(made), answers(rg.open("healed", store=place / "store")))
    assert np.array_equal(answers(undo("healed", store=place / "store")), answers(parent))


@pytest.mark.parametrize(
    ("surgery", "error", "told"),
    [
        ("dorp(1)", PlanError, "did you mean 'drop'"),
        ("drop(blocks.7)", TrunkError, r"the stages are stem, blocks\.0, blocks\.1"),
        ("drop(stem)", TrunkError, "stem is no entry of a list of blocks"),
        ("insert(se, after=blocks.0)", TrunkError, "its mean would run over padding"),
        ("drop(blocks.0)+drop(blocks.1)", TrunkError, "no stage|the stages are"),
    ],
)
def test_what_cannot_be_done_says_so_and_leaves_the_store(place, surgery, error, told):
    before = Store(place / "store").log()
    with pytest.raises(error, match=told):
        rg.edit("parent", surgery, store=place / "store")
    assert Store(place / "store").log() == before
    with pytest.raises(RequestError, match="nothing is trained"):
        rg.edit("parent", "drop(blocks.0)", store=place / "store", epochs=3)


def test_a_model_with_surgery_is_tuned_like_any_other(place):
    model = rg.open("parent", store=place / "store").record.manifest["model"]
    made = rg.tune(place / "tickets.csv", model=f"{model}+drop(1)", store=place / "store", strategy="top(n=1)", name="half", **QUICK)
    assert made.record.manifest["plan"]["stages"] == ["stem", "blocks.0", "head"]
    assert np.array_equal(answers(made), answers(rg.open("half", store=place / "store")))


def test_a_student_learns_from_its_teacher(place):
    model = rg.open("parent", store=place / "store").record.manifest["model"]
    made = rg.distill("parent", place / "tickets.csv", model=f"{model}+drop(1)", store=place / "store", **QUICK)
    assert made.name == "parent-student" and made.record.parent is None
    assert made.record.manifest["strategy"] == "full"
    assert f"teacher={rg.open('parent', store=place / 'store').digest[:12]}" in made.record.manifest["plan"]["objective"]


def test_a_student_may_start_from_a_generation_and_have_several_teachers(place):
    rg.edit("parent", "drop(blocks.1)", store=place / "store", name_as="other")
    made = rg.distill("parent,other", place / "tickets.csv", model="parent+prune(channels)", objective="distill(temperature=4, weight=0.8)",
                      store=place / "store", name="two", strategy="lora(rank=2)", **QUICK)  # fmt: skip
    assert made.record.manifest["plan"]["objective"].count("weight=0.4") == 2
    assert made.record.parent == rg.open("parent", store=place / "store").digest
    assert {edit["edit"]["kind"] for edit in made.record.manifest["edits"]} == {"prune", "lora"}
    assert np.array_equal(answers(made), answers(rg.open("two", store=place / "store")))


def test_features_of_chosen_stages_are_learned_too(place):
    made = rg.distill("parent", place / "tickets.csv", model="parent+drop(blocks.0)", store=place / "store", name="featured",
                      objective="distill+feature_distill(pairs=[blocks.0:blocks.1])", **QUICK)  # fmt: skip
    objective = made.record.manifest["plan"]["objective"]
    assert objective.count("teacher=") == 2 and "feature_distill" in objective


def test_a_teacher_of_the_model_itself_is_not_looked_for(place):
    with pytest.raises(RequestError, match="no teacher is named"):
        rg.distill(" , ", place / "tickets.csv", model="parent", store=place / "store")
    with pytest.raises(rg.RegraftError, match="nobody"):
        rg.distill("nobody", place / "tickets.csv", model="parent", store=place / "store")
