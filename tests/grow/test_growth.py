"""Growth on a small model: what is new is learned, what was known is measured, what is removed was never there."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

import regraft as rg
from regraft.errors import DataError, GateRefused, RequestError
from regraft.grow.memory import Memory
from regraft.serve import rebuild
from small import tickets

LABELS = sorted({label for _, label in tickets()})
STATISTICS = "statistics(width=60)"
ANY = {"tolerance": 1.0}
"""The model's weights are random: what is retained is for other tests."""


def written(path: Path, labels: list[str], count: int = 20, skip: int = 0, **renamed: str) -> Path:
    rows = [(text, renamed.get(label, label)) for label in labels for text, found in tickets() if found == label]
    kept = [row for label in dict.fromkeys(label for _, label in rows) for row in [r for r in rows if r[1] == label][skip : skip + count]]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *kept])
    return path


def weights(generation: rg.Generation) -> torch.Tensor:
    return rebuild.network(generation.store, generation.digest).network.head.linear.weight


@pytest.fixture
def parent(model, tmp_path):
    data = written(tmp_path / "old.csv", LABELS[:3])
    return rg.tune(data, model=model, store=tmp_path / "store", strategy=STATISTICS, name="mine")


@pytest.fixture
def more(tmp_path):
    return written(tmp_path / "more.csv", LABELS[3:4])


def test_a_new_class_comes_behind_the_known_ones(parent, more):
    child = rg.grow(parent, more, **ANY)
    assert child.classes == (*parent.classes, LABELS[3])
    assert child.record.parent == parent.digest and child.name == "mine"
    assert child.document["gate"]["passed"] and child.document["retention"][0]["of"] == "mine"
    assert rg.open("mine", store=parent.store.location).digest == child.digest
    assert {p["label"] for p in child.predict(["where is it"])} <= set(child.classes)


def test_the_trunk_and_the_old_features_are_stored_once(parent, more):
    child = rg.grow(parent, more, **ANY)
    tables = [parent.store.table(one.record) for one in (parent, child)]
    assert {name for name in tables[0] if tables[0][name]["holder"] != tables[1][name]["holder"]} == {"head.linear.weight"}
    held = parent.record.manifest["kept"]
    assert held == [row for row in child.record.manifest["kept"] if row["of"] == "mine"]
    kept = [(row["what"], row["of"]) for row in child.record.manifest["kept"]]
    assert kept.count(("probe", "mine")) == kept.count(("probe", "more")) == 1


def test_the_order_of_growing_leaves_no_trace(parent, tmp_path):
    files = [written(tmp_path / f"{label}.csv", [label]) for label in LABELS[3:5]]
    ends = []
    for name, order in (("ab", files), ("ba", files[::-1])):
        child = parent
        for file in order:
            child = rg.grow(child, file, name=name, **ANY)
        ends.append(child)
    places = [ends[1].classes.index(label) for label in ends[0].classes]
    assert (weights(ends[0]) - weights(ends[1])[places]).abs().max() < 1e-6


def test_a_removed_class_was_never_there(parent, more):
    child = rg.grow(parent, more, **ANY)
    left = rg.grow(child, remove_class=[LABELS[3]], **ANY)
    assert left.classes == parent.classes
    assert (weights(left) - weights(parent)).abs().max() < 1e-6
    assert not any(row["of"] == "more" for row in left.record.manifest["kept"])


def test_removed_examples_were_never_there(model, tmp_path):
    whole, part = written(tmp_path / "whole.csv", LABELS[:3]), written(tmp_path / "part.csv", LABELS[:3], 12)
    gone = written(tmp_path / "gone.csv", LABELS[:3], skip=12)
    options = {"model": model, "store": tmp_path / "store", "strategy": STATISTICS}
    never = rg.tune(part, name="never", **options)
    left = rg.grow(rg.tune(whole, name="whole", **options), remove_examples=gone, **ANY)
    assert (weights(left) - weights(never)).abs().max() < 1e-6
    memory = Memory(left.store, left.record)
    assert memory.seen == Memory(never.store, never.record).seen


@pytest.mark.parametrize("keep", ["features", "nothing"])
def test_growth_without_kept_examples(keep, model, more, tmp_path):
    data = written(tmp_path / "old.csv", LABELS[:3])
    parent = rg.tune(data, model=model, store=tmp_path / "store", strategy=STATISTICS, name="mine", keep=keep)
    assert not any(row["what"] == "replay" for row in parent.record.manifest["kept"])
    reason = "" if keep == "features" else "nothing may be kept here"
    child = rg.grow(parent, more, accept_forgetting=reason, **ANY)
    assert child.document["gate"]["passed"] == (keep == "features")
    left = rg.grow(child, remove_examples=more, accept_forgetting=reason, **ANY)
    assert left.classes == parent.classes, "a class of which nothing is left goes with its examples"
    assert (weights(left) - weights(parent)).abs().max() < 1e-6


def test_a_class_cannot_be_told_from_sums_alone(model, tmp_path):
    parent = rg.tune(written(tmp_path / "old.csv", LABELS[:3]), model=model, store=tmp_path / "store", strategy=STATISTICS, keep="nothing")
    with pytest.raises(RequestError, match="it kept sums alone"):
        rg.grow(parent, remove_class=[LABELS[0]])


def test_a_test_example_of_an_ancestor_is_never_learned(parent, tmp_path):
    memory = Memory(parent.store, parent.record)
    again = written(tmp_path / "again.csv", LABELS[:5])
    child = rg.grow(parent, again, **ANY)
    learned = Memory(child.store, child.record).seen
    assert memory.tested and not learned & memory.tested
    assert memory.seen < learned


def test_what_is_known_already_is_refused(parent, tmp_path):
    with pytest.raises(RequestError, match="nothing is new"):
        rg.grow(parent, tmp_path / "old.csv")


def test_a_class_in_another_spelling_is_refused(parent, tmp_path):
    with pytest.raises(DataError, match="differ from a known class only by case"):
        rg.grow(parent, written(tmp_path / "upper.csv", LABELS[:1], **{LABELS[0]: LABELS[0].upper()}))


def spoken(path: Path, count: int, seed: int, names: tuple[str, ...] = ("a", "b", "c")) -> Path:
    """Sentences of six words, the words of each class being its own: even a model of two small layers learns to tell them."""
    rng, words = np.random.default_rng(seed), sorted({word for text, _ in tickets() for word in text.lower().split()})[:360]
    rows = [
        (" ".join(rng.choice(words[120 * place : 120 * place + 12], 6)), name) for place, name in enumerate(names) for _ in range(count)
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def contents(store: rg.Store) -> dict[str, bytes]:
    """Every file of the store, but for work in progress."""
    root = Path(store.location)
    files = (path for part in ("objects", "generations", "bases", "names", "tags") for path in (root / part).rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_a_harmful_step_is_refused_and_leaves_the_store_as_it_was(model, tmp_path):
    store = rg.Store(tmp_path / "store")
    settings = {"lr": 3e-3, "batch_size": 8, "dropout": 0.0, "refit": False}
    data = spoken(tmp_path / "old.csv", 40, seed=0)
    parent = rg.tune(data, model=model, store=tmp_path / "store", strategy="full", epochs=6.0, replay=0, name="mine", **settings)
    assert parent.metrics["test"]["accuracy"]["value"] > 0.8
    wrong = spoken(tmp_path / "wrong.csv", 30, seed=1, names=("b", "c", "a"))
    store.tag("mine", "good")
    before = contents(store)
    harm = {"way": "deep", "strategy": "full", "objective": "", "epochs": 6.0, **settings}
    with pytest.raises(GateRefused, match=r"all classes of mine: 1\.000 -> 0\.\d+ .* lost") as refused:
        rg.grow("mine", wrong, store=tmp_path / "store", **harm)
    assert refused.value.exit_code == 3
    assert not refused.value.judgement.gate["passed"]
    assert contents(store) == before
    child = rg.grow("mine", wrong, store=tmp_path / "store", accept_forgetting="the old labels were wrong", name="worse", **harm)
    assert child.document["gate"]["accepted"] == "the old labels were wrong" and not child.document["gate"]["passed"]


@pytest.mark.parametrize(("way", "kept"), [("replay", -1), ("deep", 6)])
def test_ways_by_gradient_start_from_the_parents_rows(way, kept, parent, model, more, tmp_path):
    linear = rg.tune(tmp_path / "old.csv", model=model, store=tmp_path / "store", strategy="linear_probe", name="linear", replay=kept)
    child = rg.grow(linear, more, way=way, epochs=1.0, lr=1e-4, batch_size=8, dropout=0.0, **ANY)
    assert child.classes[:3] == linear.classes
    drift = (weights(child)[:3] - weights(linear)).abs().max()
    assert 0 < drift < 0.05, "old logits keep their rows"
    assert "distill" in child.record.manifest["plan"]["objective"]
    assert any("kept examples" in reason for reason in child.record.manifest["plan"]["reasons"])
    assert any(reason.startswith("wise_ft") for reason in child.record.manifest["plan"]["reasons"]) == (way == "deep")


def test_where_as_many_are_kept_as_there_are_new_ones_the_head_is_solved_at_the_end(parent, model, more, tmp_path):
    linear = rg.tune(tmp_path / "old.csv", model=model, store=tmp_path / "store", strategy="linear_probe", name="linear")
    plan = rg.grow(linear, more, way="deep", **ANY).record.manifest["plan"]
    assert plan["strategy"].endswith("+lp_ft+solve_head") and plan["objective"] == ""
    assert any("the head is solved on all of them before the trunk moves and after" in reason for reason in plan["reasons"])
    usual = next(reason for reason in plan["reasons"] if reason.startswith("epochs"))
    assert 1 <= plan["settings"]["epochs"] < float(usual.split("of the ")[1].split()[0]), usual
    assert not any(reason.startswith("wise_ft") for reason in plan["reasons"]), "a solved head fits the trunk that it was solved on"


def test_examples_are_shown_as_they_were_to_the_parent(model, more, tmp_path):
    """It may have found out what must not be done to them."""
    data = written(tmp_path / "old.csv", LABELS[:3])
    shown = {"word_dropout": 0.1}
    parent = rg.tune(data, model=model, store=tmp_path / "store", strategy="top(n=0)", name="shown", epochs=1, augment=shown)
    plan = rg.grow(parent, more, way="replay", epochs=1, **ANY).record.manifest["plan"]
    assert dict(plan["settings"]["augment"]) == shown
    assert [reason for reason in plan["reasons"] if reason.startswith("as asked")] == ["as asked: epochs=1"]


def test_a_linear_parent_begins_its_sums_from_what_it_learned(parent, model, more, tmp_path):
    linear = rg.tune(tmp_path / "old.csv", model=model, store=tmp_path / "store", strategy="linear_probe", name="linear")
    child = rg.grow(linear, more, way="statistics", strategy=STATISTICS, **ANY)
    direct = rg.grow(parent, more, name="direct", **ANY)
    counts = [row["num_examples"] for row in child.record.manifest["kept"] if row["what"] == "features"]
    assert any("training examples of linear, found at" in reason for reason in child.record.manifest["plan"]["reasons"])
    assert sum(counts) == 63 and weights(child).shape == weights(direct).shape


def test_one_step_at_a_time(parent, more):
    with pytest.raises(RequestError, match="data to learn and something to forget"):
        rg.grow(parent, more, remove_class=[LABELS[0]])
    with pytest.raises(RequestError, match="no such way to grow"):
        rg.grow(parent, more, way="magic")
    with pytest.raises(RequestError, match=f"remove class '{LABELS[9]}'" if len(LABELS) > 9 else "remove class 'nothing'"):
        rg.grow(parent, remove_class=[LABELS[9] if len(LABELS) > 9 else "nothing"])


def test_the_same_step_gives_the_same_digest(parent, more):
    one, other = (rg.grow(parent, more, name=name, **ANY) for name in ("one", "other"))
    assert one.digest == other.digest
    assert np.allclose(weights(one), weights(other), atol=0)
