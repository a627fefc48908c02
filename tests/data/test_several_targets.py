"""Several target columns: each read by its own form, missing cells kept apart from wrong ones, and one task taken out again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from regraft.data import load
from regraft.data.joined import joined, names_of, references
from regraft.data.load import load_known
from regraft.data.sampling import Drawn, quotas
from regraft.data.several import alone
from regraft.errors import DataError
from regraft.spec import FORMS

WORDS = ("refund", "parcel", "login", "card")


@pytest.fixture
def table(tmp_path):
    """40 texts with a class, a number and a set; every fifth has no number, the seventh nothing but a class."""
    lines = ["text,kind,score,marks,split"]
    for i in range(40):
        score = "" if i % 5 == 0 or i == 7 else f"{i / 2:.2f}"
        marks = "" if i == 7 else ("x|y" if i % 2 else "x")
        lines.append(f"where is my {WORDS[i % 4]} number {i},{WORDS[i % 4]},{score},{marks},{'train' if i < 30 else 'test'}")
    path = tmp_path / "mixed.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_each_column_is_read_by_its_own_form(table):
    found = load(table, target="kind,score,marks", valid_fraction=0)
    assert found.task == "text-multitask" and found.form.of == ("class", "number", "set")
    assert found.classes == ("kind", "score", "marks") and found.outputs == "3 tasks"
    targets = found.splits["train"].targets
    assert targets.shape == (30, 4) and targets.dtype == np.float32
    assert targets[1].tolist() == [WORDS.index(WORDS[1]) * 0 + sorted(WORDS).index(WORDS[1]), 0.5, 1.0, 1.0]
    assert np.isnan(targets[5, 1]) and np.isnan(targets[7, 1:]).all() and not np.isnan(targets[7, 0])
    assert found.counts("train") == {"kind": 30, "score": 23, "marks": 29}
    assert "'score' is the target of text-regression; 9 examples have no such target and teach the others." in found.said
    assert found.facts["tasks"][1]["facts"]["mean"] == pytest.approx(np.nanmean(targets[:, 1]), rel=1e-6)


def test_a_task_for_each_column_may_be_named(table):
    named = tuple((name, FORMS[name]) for name in ("text-classification", "text-classification"))
    found = load(table, target="kind,marks", task=named, valid_fraction=0)
    assert found.form.of == ("class", "class") and [one["task"] for one in found.facts["tasks"]] == ["text-classification"] * 2


def test_one_task_is_taken_out_with_the_examples_that_have_it(table):
    whole = load(table, target="kind,score,marks", valid_fraction=0)
    score, marks, single = (alone(whole, name) for name in ("score", "marks", "kind"))
    direct = load(table, target="kind", valid_fraction=0)
    assert (single.task, single.classes, single.fingerprint) == (direct.task, direct.classes, direct.fingerprint)
    assert len(score.splits["train"]) == 23 and score.form == FORMS["text-regression"] and not np.isnan(score.splits["train"].targets).any()
    assert marks.splits["train"].targets.shape == (29, 2) and marks.classes == ("x", "y")
    assert set(score.splits["train"].digests) < set(single.splits["train"].digests)


def test_a_model_that_knows_the_tasks_reads_them_again(table):
    whole = load(table, target="kind,score,marks", valid_fraction=0)
    again = load_known(table, whole.classes, facts=whole.facts, task=(whole.task, whole.form), target="kind,score,marks")
    np.testing.assert_array_equal(again.splits["test"].targets, whole.splits["test"].targets)


@pytest.mark.parametrize(
    ("target", "task", "message"),
    [
        ("kind,scor", None, "no column 'scor'; the columns are text, kind, score"),
        (
            "kind,score",
            (("text-classification", FORMS["text-classification"]), ("image-regression", FORMS["image-regression"])),
            "different kinds of inputs",
        ),
        ("kind,score,marks", tuple((name, FORMS[name]) for name in ("text-classification", "text-regression")), "3 targets for 2 tasks"),
        ("kind,score", ("text-classification", FORMS["text-classification"]), "one task for several targets"),
        ("kind", tuple((name, FORMS[name]) for name in ("text-classification", "text-regression")), "several tasks, and one target"),
    ],
)
def test_what_does_not_go_together_is_refused(table, target, task, message):
    with pytest.raises(DataError, match=message):
        load(table, target=target, task=task)


def test_a_wrong_cell_is_listed_and_a_row_without_any_target_too(table):
    named = tuple((name, FORMS[name]) for name in ("text-classification", "text-regression", "text-multilabel"))
    lines = table.read_text().splitlines()
    lines[3] = lines[3].replace("1.00", "many")
    lines[4] = "no target at all,,,,train"
    table.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="1 of 40 rows"):
        load(table, target="kind,score,marks", task=named, valid_fraction=0)
    found = load(table, target="kind,score,marks", task=named, valid_fraction=0, allow_rejected=True)
    assert {(item.where, item.reason) for item in found.rejected} == {
        ("mixed.csv row 4", "score: target 'many' is no number"),
        ("mixed.csv row 5", "no label"),
    }
    assert len(found.splits["train"]) == 28


def test_sampling_gives_small_groups_their_share():
    targets = np.zeros((100, 2), np.float32)
    targets[:90, 1], targets[90:, 0] = np.nan, np.nan
    assert Drawn.of(targets, 1.0, 0) is None and Drawn.of(np.zeros((9, 2)), 0.0, 0) is None
    equal, warm = Drawn.of(targets, 0.0, 0), Drawn.of(targets, 0.5, 0)
    assert sorted(equal.quotas) == [50, 50] and sorted(warm.quotas) == [25, 75]  # sqrt(10) : sqrt(90) is 1 : 3
    rows = np.concatenate([equal.epoch(epoch)[0] for epoch in range(9)])
    times = np.bincount(rows, minlength=100)
    assert set(times[:90].tolist()) == {5} and set(times[90:].tolist()) == {45}
    np.testing.assert_array_equal(equal.epoch(3)[0], Drawn.of(targets, 0.0, 0).epoch(3)[0])
    assert not np.array_equal(equal.epoch(3)[0], equal.epoch(4)[0])


def test_quotas_add_up():
    assert quotas([1, 1, 1], 10) in {(4, 3, 3), (3, 4, 3), (3, 3, 4)}
    assert sum(quotas([0.2, 5, 3.3], 997)) == 997


def sets(tmp_path):
    """Two tables on texts, a class and a number; two of their texts are the same, one of them a test text of the second."""
    reviews = [f"review number {i} is good,{'good' if i % 2 else 'bad'},{'train' if i < 12 else 'test'}" for i in range(16)]
    scores = [f"letter number {i} was short,{i / 4 + 0.25},{'train' if i < 20 else 'test'}" for i in range(24)]
    scores += ["review number 3 is good,9.5,test", "review number 4 is good,8.5,train"]
    for name, column, rows in (("reviews", "label", reviews), ("scores", "score", scores)):
        (tmp_path / f"{name}.csv").write_text("\n".join([f"text,{column},split", *rows]) + "\n")
    return [load(tmp_path / f"{name}.csv", valid_fraction=0) for name in ("reviews", "scores")]


def test_data_sets_are_joined_each_with_its_own_task(tmp_path):
    whole = joined(sets(tmp_path))
    assert (whole.task, whole.classes, whole.form.of) == ("text-multitask", ("reviews", "scores"), ("class", "number"))
    assert whole.counts("train") == {"reviews": 11, "scores": 21} and whole.counts("test") == {"reviews": 5, "scores": 5}
    assert "1 examples are test examples of another data set: they stay that." in whole.said
    assert not np.isin(whole.splits["train"].digests, whole.splits["test"].digests).any()
    assert alone(whole, "scores").classes == ("value",) and whole.splits["train"].where(0).startswith("reviews: reviews.csv row 2")


def test_data_sets_of_different_inputs_are_not_joined(tmp_path):
    one, other = sets(tmp_path)
    with pytest.raises(DataError, match="different kinds of inputs"):
        joined([one, replace(other, form=FORMS["image-regression"])])


def test_a_plus_stands_between_data_sets_and_nowhere_else(tmp_path):
    assert references("a.csv + b.csv") == ["a.csv", "b.csv"] and references("a+b.csv") == ["a+b.csv"]
    (tmp_path / "a + b").mkdir()
    assert references(str(tmp_path / "a + b")) == [str(tmp_path / "a + b")]
    assert names_of(["x/reviews.csv", "y/reviews.csv", "z/"]) == ["reviews-1", "reviews-2", "z"]
