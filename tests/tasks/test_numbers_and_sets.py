"""Regression, ordinal and multi-label tasks: what the loss compares, what an answer says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from regraft import tasks
from regraft.errors import RequestError
from regraft.spec import FORMS, PART
from regraft.tasks.inputs import given


def test_a_number_is_learnt_in_units_of_the_spread_and_answered_in_its_own():
    task = tasks.of("text-regression").bound({"mean": 100.0, "std": 20.0})
    assert task.losses(torch.tensor([[1.0], [0.0]]), torch.tensor([120.0, 140.0])).tolist() == [0.0, 4.0]
    assert task.answers(np.array([[1.0], [-0.5]])).tolist() == [120.0, 90.0]
    assert task.losses(torch.tensor([[1.0]]), torch.tensor([[120.0]])).tolist() == [0.0], "as mixed targets come"
    (prediction,) = task.predictions(np.array([120.0]), ("value",), [PART.join(("a", "b"))])
    assert prediction == {"input": ["a", "b"], "value": 120.0}


def test_probabilities_of_levels_add_up_even_where_the_questions_contradict():
    task = tasks.of("text-ordinal").bound({"levels": [1.0, 2.0, 3.0]})
    table = task.answers(np.array([[2.0, -1.0], [-3.0, 4.0]]))
    assert table.sum(axis=1) == pytest.approx([1, 1]) and (table >= 0).all()
    (prediction,) = task.predictions(table[:1], ("1", "2", "3"), ["x"])
    assert prediction["label"] == "2" and prediction["value"] == pytest.approx(float(table[0] @ [1, 2, 3]))


def test_a_level_one_off_costs_less_than_two_off():
    task = tasks.of("text-ordinal").bound({"levels": [0.0, 1.0, 2.0]})
    sure_of_the_first = torch.tensor([[-3.0, -3.0]]).repeat(3, 1)
    losses = task.losses(sure_of_the_first, torch.tensor([0, 1, 2])).tolist()
    assert losses == sorted(losses)
    whole = torch.nn.functional.one_hot(torch.tensor([1]), 3).float()
    assert torch.allclose(task.losses(sure_of_the_first[:1], whole), task.losses(sure_of_the_first[:1], torch.tensor([1])))


def test_thresholds_decide_which_labels_are_given():
    task = tasks.of("text-multilabel")
    scores = np.array([[2.0, -1.0], [-2.0, -1.0], [2.0, -3.0]] * 4)
    targets = np.array([[1, 1], [0, 1], [1, 0]] * 4, np.float32)
    facts = task.settle(scores, targets)
    bound = task.bound(facts)
    assert [row["labels"] for row in bound.predictions(bound.answers(scores[:3]), ("a", "b"), ["x", "y", "z"])] == [
        ["a", "b"],
        ["b"],
        ["a"],
    ]
    assert task.predictions(task.answers(scores[1:2]), ("a", "b"), ["y"])[0]["labels"] == []
    assert bound.quality(bound.answers(scores), targets).tolist() == [1.0] * 12
    assert bound.mistakes(bound.answers(scores), targets, ("a", "b"), 5) == []
    wrong = bound.mistakes(bound.answers(scores), 1 - targets, ("a", "b"), 1)[0]
    assert (wrong.label, wrong.predicted) == ("b", "a")


def test_inputs_that_are_no_pair_are_refused():
    form = FORMS["text-pair-classification"]
    assert given([("a", "b"), "c\td"], form) == [f"a{PART}b", f"c{PART}d"]
    with pytest.raises(RequestError, match=r"1 text\(s\) where a pair is expected"):
        given(["alone"], form)
    assert given(["Ann ran"], FORMS["token-classification"]) == [f"Ann{PART}ran"]
