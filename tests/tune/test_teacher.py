"""A generation as a teacher: its answers, by example and by class name, computed once."""

from __future__ import annotations

import numpy as np
import pytest

import regraft as rg
from regraft.cache import Cache
from regraft.data import load
from regraft.errors import LineageError, PlanError
from regraft.lineage import Store
from regraft.serve import rebuild
from regraft.tune.teacher import Teacher
from small import write_tickets

OPTIONS = {"epochs": 2.0, "lr": 1e-3, "batch_size": 8}


@pytest.fixture(scope="module")
def taught(model, tmp_path_factory):
    """A store with the generation ``old``, which knows three classes; their data."""
    folder = tmp_path_factory.mktemp("taught")
    data = write_tickets(folder / "old.csv")
    rg.tune(data, model=model, store=folder / "store", name="old", strategy="full", **OPTIONS)
    return folder / "store", data


def test_a_run_learns_from_a_generation_and_records_which(taught, model):
    store, data = taught
    digest = rg.open("old", store=store).digest
    plan = rg.plan(data, model=model, store=store, strategy="top(n=1)", objective="distill(teacher=old, weight=0.9)+l2_sp", **OPTIONS)
    assert [str(one.name) for one in plan.objectives] == ["distill", "l2_sp"]
    assert dict(plan.objectives[0].options) == {"teacher": digest[:12], "weight": 0.9}
    assert any(reason.startswith(f"teacher {digest[:12]}: old, ") for reason in plan.reasons)
    made = rg.tune(plan, store=store, name="student")
    assert made.record.manifest["plan"]["objective"] == made.document["plan"]["objective"] == str(plan.objectives[0]) + "+l2_sp"


def test_a_teacher_that_knows_some_classes_teaches_these_and_answers_are_computed_once(taught, model, monkeypatch, tmp_path):
    store, _ = taught
    more = write_tickets(tmp_path / "more.csv", classes=5)
    options = {"model": model, "store": store, "strategy": "full", "objective": "distill(teacher=old, temperature=2)", **OPTIONS}
    rg.tune(more, name="grown", **options)

    def refused(*args, **kwargs):
        raise AssertionError("the teacher was rebuilt though its answers are known")

    monkeypatch.setattr(rebuild, "network", refused)
    rg.tune(more, name="grown-again", seed=1, **options)


def test_answers_are_those_of_the_generation_in_the_order_of_the_examples(taught, tmp_path):
    store, data = taught
    dataset = load(data)
    cache = Cache(tmp_path / "cache", 1 << 26)
    teacher = Teacher(Store(store), "old", cache=cache)
    splits = [dataset.splits["valid"], dataset.splits["train"]]
    found = teacher.taught(splits, [*reversed(dataset.classes), "new"])
    probabilities = rg.open("old", store=store).predictor.answers(splits[0].inputs + splits[1].inputs)
    softened = np.exp(found.logits - found.logits.max(1, keepdims=True))
    np.testing.assert_allclose(softened / softened.sum(1, keepdims=True), probabilities, atol=1e-5)
    assert found.columns.tolist() == [2, 1, 0]
    again = Teacher(Store(store), "old", cache=cache).taught(splits, dataset.classes)
    assert np.array_equal(again.logits, found.logits)


def test_a_refit_learns_from_the_answers_to_both_splits(taught, model):
    store, data = taught
    made = rg.tune(
        data, model=model, store=store, name="refitted", strategy="full", objective="distill(teacher=old)", refit=True, **OPTIONS
    )
    assert made.metrics["test"]["accuracy"]["n"] > 0


@pytest.mark.parametrize(
    "objective, error, message",
    [
        ("distill", PlanError, r"learn from the parent\nfound: this run has none.*\ntry:   distill\(teacher=NAME\)"),
        ("distill(teacher=olb)", LineageError, "old"),
        ("distil(teacher=old)", PlanError, "did you mean 'distill'"),
    ],
)
def test_a_wrong_teacher_is_known_before_anything_is_spent(taught, model, objective, error, message):
    store, data = taught
    with pytest.raises(error, match=message):
        rg.plan(data, model=model, store=store, strategy="full", objective=objective, **OPTIONS)


def test_a_teacher_of_other_classes_is_refused(taught, model, tmp_path):
    store, _ = taught
    other = tmp_path / "other.csv"
    other.write_text("text,label\n" + "".join(f"word {i} {'yes' if i % 2 else 'no'},{'yes' if i % 2 else 'no'}\n" for i in range(60)))
    with pytest.raises(PlanError, match="learn from old\nfound: of the 2 classes it knows 0"):
        rg.tune(other, model=model, store=store, name="other", strategy="full", objective="distill(teacher=old)", **OPTIONS)


def test_the_rate_is_found_under_the_objective(taught, model):
    store, data = taught
    plan = rg.plan(data, model=model, store=store, strategy="full", objective="distill(teacher=old)", **{**OPTIONS, "lr": "find"})
    assert any("range test" in reason for reason in plan.reasons)


@pytest.mark.parametrize("kind", ["feature_distill", "attention_distill"])
def test_what_stages_inside_say_is_taught_too(taught, model, kind):
    store, data = taught
    objective = f"{kind}(teacher=old, pairs=[blocks.0:blocks.1], weight=0.1)"
    made = rg.tune(data, model=model, store=store, name=kind, strategy="full", objective=objective, **OPTIONS)
    assert kind in made.record.manifest["plan"]["objective"]
    with pytest.raises(PlanError, match=r"stage 'blocks\.9' of old\nfound: the teacher has no such stage"):
        rg.tune(
            data,
            model=model,
            store=store,
            name=f"{kind}-2",
            strategy="full",
            objective=objective.replace("blocks.1]", "blocks.9]"),
            **OPTIONS,
        )


def test_examples_of_old_data_hold_what_they_need(taught, model, tmp_path):
    store, data = taught
    made = rg.tune(data, model=model, store=store, name="held", strategy="full", objective=f"ewc(examples={data}, count=5)", **OPTIONS)
    assert made.metrics["test"]["accuracy"]["n"] > 0


def test_sets_of_labels_are_taught_by_name(model, tmp_path):
    """The teacher knows two of the student's labels."""
    words, options = (
        ("where", "card", "late"),
        {"model": model, "store": tmp_path / "store", "task": "text-multilabel", "strategy": "full", **OPTIONS},
    )

    def table(name, known):
        texts = [" ".join(words[: 1 + i % 3]) + f" {i}" for i in range(60)]
        rows = "".join(f"{text},{'|'.join(word for word in known if word in text) or known[0]}\n" for text in texts)
        (tmp_path / name).write_text("text,labels\n" + rows)
        return tmp_path / name

    rg.tune(table("old.csv", words[:2]), name="old", **options)
    made = rg.tune(table("new.csv", words), name="new", objective="distill(teacher=old)+focal", **options)
    assert made.metrics["test"]["macro_f1"]["n"] > 0 and len(made.classes) == 3
