"""Several tasks as one: each reads its own block, examples without a target of one teach the others, and answers come back task by task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from regraft import tasks
from regraft.errors import RequestError
from regraft.evaluate.bootstrap import resamples
from regraft.surgery.heads import LinearHead
from regraft.tasks.several import over, several
from regraft.testing.toy import ToyTrunk

TASKS = [
    {"name": "kind", "task": "text-classification", "classes": ["a", "b", "c"], "facts": {}},
    {"name": "stars", "task": "text-ordinal", "classes": ["1", "2", "4"], "facts": {"levels": [1.0, 2.0, 4.0]}},
    {"name": "score", "task": "text-regression", "classes": ["value"], "facts": {"mean": 5.0, "std": 2.0}},
    {"name": "marks", "task": "text-multilabel", "classes": ["x", "y"], "facts": {"separator": "|"}},
]
NAN = float("nan")
TARGETS = np.array([[0, 2, 7.0, 1, 0], [2, NAN, 3.0, 0, 1], [NAN, 0, NAN, NAN, NAN], [1, 1, 5.0, 1, 1]], np.float32)
BLOCKS = {"kind": slice(0, 3), "stars": slice(3, 5), "score": slice(5, 6), "marks": slice(6, 8)}


@pytest.fixture
def joined():
    return tasks.of("text-multitask").bound({"tasks": TASKS})


def test_heads_are_the_rows_of_one_layer(joined):
    head = joined.head(ToyTrunk(), len(TASKS), 0.1)
    assert type(head) is LinearHead and head.linear.out_features == joined.outputs(len(TASKS)) == 8
    assert {one.name: one.outputs for one in joined.members} == BLOCKS
    assert joined.form.of == ("class", "level", "number", "set")


def test_the_loss_at_each_task_is_what_the_task_says_alone(joined):
    logits = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    each = joined.each(logits, torch.from_numpy(TARGETS), label_smoothing=0.1)
    alone = {
        "kind": (tasks.of("text-classification"), torch.tensor([0, 2, 1]), [0, 1, 3]),
        "stars": (tasks.of("text-ordinal").bound(TASKS[1]["facts"]), torch.tensor([2, 0, 1]), [0, 2, 3]),
        "score": (tasks.of("text-regression").bound(TASKS[2]["facts"]), torch.tensor([7.0, 3.0, 5.0]), [0, 1, 3]),
        "marks": (tasks.of("text-multilabel"), torch.tensor([[1.0, 0], [0, 1], [1, 1]]), [0, 1, 3]),
    }
    for place, (name, (task, truth, rows)) in enumerate(alone.items()):
        torch.testing.assert_close(each[rows, place], task.losses(logits[rows][:, BLOCKS[name]], truth, label_smoothing=0.1))
        assert not each[[row for row in range(4) if row not in rows], place].any()
    torch.testing.assert_close(joined.losses(logits, torch.from_numpy(TARGETS), label_smoothing=0.1), each.sum(1))
    assert joined.present(torch.from_numpy(TARGETS)).tolist() == [
        [True] * 4,
        [True, False, True, True],
        [False, True, False, False],
        [True] * 4,
    ]


def test_mixed_examples_keep_their_targets_and_lose_those_that_one_of_them_lacks(joined):
    whole = joined.mixable(torch.from_numpy(TARGETS), 8)
    assert whole.shape == (4, 3 + 3 + 1 + 2)
    mixed = 0.5 * whole + 0.5 * whole.flip(0)
    present = joined.present(mixed)
    assert present.tolist() == [[True] * 4, [False] * 4, [False] * 4, [True] * 4]
    assert torch.isfinite(joined.each(torch.zeros(4, 8), mixed)).all()


def test_answers_come_back_under_the_name_of_each_task(joined):
    scores = np.zeros((2, 8), np.float32)
    scores[:, 0], scores[:, 5] = 9, [1.0, -1.0]
    rows = joined.predictions(joined.answers(scores), joined.facts["tasks"], ["one", "two"])
    assert [set(row) for row in rows] == [{"input", "kind", "stars", "score", "marks"}] * 2
    assert rows[0]["kind"]["label"] == "a" and "input" not in rows[0]["kind"] and [row["score"]["value"] for row in rows] == [7.0, 3.0]


def test_the_document_measures_each_task_on_the_examples_that_have_its_target(joined):
    scores = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    document = joined.document(scores, TARGETS, ())
    assert [(row["name"], row["num_examples"]) for row in document["tasks"]] == [("kind", 3), ("stars", 3), ("score", 3), ("marks", 3)]
    assert document["metrics"]["score/r2"] == document["tasks"][2]["metrics"]["r2"]
    headlines = [row["metrics"][row["headline"]]["value"] for row in document["tasks"]]
    assert document["metrics"]["task_mean"]["value"] == pytest.approx(np.mean(headlines))
    assert joined.watched(scores, TARGETS)["task_mean"] == pytest.approx(np.mean(headlines))


def test_a_draw_counts_the_examples_that_have_the_target():
    values = np.array([1.0, 5.0, 9.0])
    statistic = over(lambda rows: values[rows].mean(axis=1), np.array([0, 2, 3]), 4)
    np.testing.assert_allclose(statistic(np.array([[0, 1, 2, 3], [1, 1, 3, 3], [1, 1, 1, 1]])), [5.0, 9.0, 0.0])
    (drawn,) = resamples(4, seed=0, num_resamples=50)
    assert statistic(drawn).shape == (50,)


def test_heads_are_solved_each_on_its_own_examples(joined):
    chance = np.random.default_rng(1)
    features = chance.normal(size=(60, 6)).astype(np.float32)
    kind = (features[:, 0] > 0).astype(np.float32) + (features[:, 1] > 0)
    targets = np.stack([kind, kind, 5 + 2 * features[:, 2], features[:, 3] > 0, features[:, 4] > 0], 1).astype(np.float32)
    targets[:9, 2] = np.nan
    weights, bias = joined.solve(features, targets, num_outputs=8, seed=0, restraint=1.0)
    alone, its_bias = joined.members[2].task.solve(features[9:], targets[9:, 2], num_outputs=1, seed=0, restraint=1.0)
    np.testing.assert_array_equal(weights[5:6], alone)
    np.testing.assert_array_equal(bias[5:6], its_bias)
    scores = features @ weights.T + bias
    assert (scores[:, :3].argmax(1) == kind).mean() > 0.6


def test_what_valid_decides_is_decided_for_each(joined):
    scores = np.random.default_rng(2).normal(size=(4, 8)).astype(np.float32)
    settled = joined.settle(scores, TARGETS)
    again = joined.bound({**joined.facts, **settled})
    assert len(settled["tasks"][3]["facts"]["thresholds"]) == 2 and settled["tasks"][0]["facts"] == {}
    assert again.members[3].task.facts["thresholds"] == settled["tasks"][3]["facts"]["thresholds"]


def test_a_head_that_is_more_than_a_linear_layer_is_no_head_beside_others():
    deep = replace(tasks.of("text-classification"), head=lambda trunk, num_classes, dropout: torch.nn.Identity())
    made = several("text-multitask", lambda name: deep, {"tasks": TASKS[:1]})
    with pytest.raises(RequestError, match="learn 'kind' beside other tasks\nfound: the head of text-classification is a Identity"):
        made.head(ToyTrunk(), 2, 0.0)
