"""Losses for unequal classes and for hard examples, against the definitions of their papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from train_hosts import TEXT, Arrays, full, text_network

from regraft import tasks
from regraft.errors import PlanError
from regraft.plan.objective import parse
from regraft.tasks import Task
from regraft.train.objective import Losses, Start, check
from regraft.train.objectives.class_balanced import class_weights

TARGETS = np.array([0] * 12 + [1] * 3 + [2])
LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.0, 0.0, 0.0], [-1.0, 3.0, 1.0]])
LABELS = torch.tensor([0, 1, 2])


def plain(logits: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits, targets, reduction="none")


def losses_of(text: str, targets: np.ndarray = TARGETS, task: Task = TEXT) -> Losses:
    """The task's loss as ``text`` changes it on a split with these targets."""
    network = text_network()
    split = Arrays("input_ids", np.ones((len(targets), 4), np.int64), targets)
    start = Start(network=network, plan=full(network), task=task, train=split, device=torch.device("cpu"), asked={})
    made = plain
    for declared in check(parse(text)):
        made = declared.begin(start).losses(made)
    return made


def test_focal_is_one_minus_the_probability_to_the_gamma():
    p = LOGITS.softmax(1)[torch.arange(3), LABELS]
    torch.testing.assert_close(losses_of("focal(gamma=2)")(LOGITS, LABELS), -((1 - p) ** 2) * p.log())
    torch.testing.assert_close(losses_of("focal(gamma=0)")(LOGITS, LABELS), plain(LOGITS, LABELS))
    assert losses_of("focal")(torch.tensor([[0.0, 0.0]]), torch.tensor([0])).item() == pytest.approx(0.25 * math.log(2))


def test_focal_has_a_gradient_where_an_example_is_certain():
    logits = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    losses_of("focal(gamma=0.5)")(logits, torch.tensor([0])).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_class_balanced_weighs_by_the_effective_number():
    weights = class_weights(torch.tensor([12.0, 3.0, 1.0], dtype=torch.float64), 0.9)
    raw = [(1 - 0.9) / (1 - 0.9**n) for n in (12, 3, 1)]
    torch.testing.assert_close(weights, torch.tensor([3 * r / sum(raw) for r in raw], dtype=torch.float64))
    torch.testing.assert_close(losses_of("class_balanced(beta=0.9)")(LOGITS, LABELS), weights.float() * plain(LOGITS, LABELS))


def test_the_ends_of_beta_are_no_weights_and_inverse_frequency():
    counts = torch.tensor([12.0, 3.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(class_weights(counts, 0.0), torch.ones(3, dtype=torch.float64))
    inverse = (1 / counts) * 3 / (1 / counts).sum()
    torch.testing.assert_close(class_weights(counts, 1 - 1e-9), inverse, rtol=1e-5, atol=1e-7)


def test_a_class_without_an_example_has_no_weight():
    assert class_weights(torch.tensor([4.0, 0.0, 4.0], dtype=torch.float64), 0.9).tolist() == [1.0, 0.0, 1.0]


def test_logit_adjusted_adds_the_log_of_the_frequency():
    prior = torch.tensor([12 / 16, 3 / 16, 1 / 16])
    expected = plain(LOGITS + 2.0 * prior.log(), LABELS)
    torch.testing.assert_close(losses_of("logit_adjusted(tau=2)")(LOGITS, LABELS), expected)


def test_where_classes_are_equal_it_is_the_plain_loss():
    equal = np.array([0, 1, 2] * 4)
    for text in ("logit_adjusted", "class_balanced"):
        torch.testing.assert_close(losses_of(text, equal)(LOGITS, LABELS), plain(LOGITS, LABELS))


def test_losses_compose_to_the_class_balanced_focal_loss():
    weights = class_weights(torch.tensor([12.0, 3.0, 1.0], dtype=torch.float64), 0.99).float()
    p = LOGITS.softmax(1)[torch.arange(3), LABELS]
    found = losses_of("class_balanced(beta=0.99)+focal(gamma=1)")(LOGITS, LABELS)
    torch.testing.assert_close(found, -weights * (1 - p) * p.log())


@pytest.mark.parametrize("text", ["focal", "class_balanced", "logit_adjusted"])
def test_mixed_targets_are_taken_in_shares(text):
    one_hot = nn.functional.one_hot(LABELS, 3).float()
    torch.testing.assert_close(losses_of(text)(LOGITS, one_hot), losses_of(text)(LOGITS, LABELS))


@pytest.mark.parametrize("text", ["focal", "class_balanced", "logit_adjusted", "r_drop"])
def test_a_task_of_other_answers_is_refused(text):
    with pytest.raises(PlanError, match=f"{text} for .*\nfound: its examples do not have one class"):
        losses_of(text, np.zeros(4, np.float32), tasks.of("text-regression"))


@pytest.mark.parametrize("text", ["focal(gamma=-1)", "class_balanced(beta=1)", "logit_adjusted(tau=-1)"])
def test_an_option_out_of_bounds_is_refused(text):
    with pytest.raises(PlanError, match=r"try:   \w+\(\w+=\.\.\.\)"):
        check(parse(text))
