"""Objectives for sets of labels: each label is an answer of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, kl_divergence
from train_hosts import Arrays, full, text_network

from regraft import tasks
from regraft.errors import PlanError
from regraft.plan.objective import parse
from regraft.train.objective import Ask, Start, TeacherLogits, check
from regraft.train.objectives.distill import set_divergence

SETS = tasks.of("text-multilabel").bound({})


def begun(text: str, *, task=SETS, asked=None):
    network = text_network()
    targets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]], np.float32)
    split = Arrays("input_ids", np.ones((4, 4), np.int64), targets, np.full(4, 4, np.int32))
    start = Start(network=network, plan=full(network), task=task, train=split, device=torch.device("cpu"), asked=asked or {})
    return [declared.begin(start) for declared in check(parse(text))], split


@pytest.fixture
def logits():
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(0)) * 2


def test_focal_weighs_each_label_by_how_wrong_its_answer_is(logits):
    (term,), split = begun("focal(gamma=2)")
    targets = torch.from_numpy(split.targets)
    right = torch.where(targets > 0, logits.sigmoid(), 1 - logits.sigmoid())
    torch.testing.assert_close(term.losses(SETS.losses)(logits, targets), ((1 - right) ** 2 * -right.log()).sum(1))
    (plain,), _ = begun("focal(gamma=0)")
    torch.testing.assert_close(plain.losses(SETS.losses)(logits, targets), SETS.losses(logits, targets))


def test_of_mixed_sets_the_weight_is_the_distance_from_the_target(logits):
    (term,), _ = begun("focal(gamma=1)")
    targets = torch.full((4, 3), 0.3)
    each = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    torch.testing.assert_close(term.losses(SETS.losses)(logits, targets), ((0.3 - logits.sigmoid()).abs() * each).sum(1))


def test_the_divergence_of_sets_is_summed_over_the_labels(logits):
    teacher = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    wanted = 9 * kl_divergence(Bernoulli(logits=teacher / 3), Bernoulli(logits=logits / 3)).sum(1)
    torch.testing.assert_close(set_divergence(teacher, logits, 3.0), wanted, rtol=1e-4, atol=1e-5)
    assert set_divergence(logits, logits, 2.0).abs().max() < 1e-6


def test_a_teacher_of_some_labels_teaches_these(logits):
    teacher = TeacherLogits(np.ones((4, 2), np.float32), np.array([2, 0]))
    (term,), split = begun("distill(teacher=t, temperature=1, weight=0.25)", asked={Ask("logits", "t"): teacher})
    seen = type("Seen", (), {"part": type("Part", (), {"rows": np.arange(4)}), "logits": logits})
    torch.testing.assert_close(term.shares(seen), 0.25 * set_divergence(torch.ones(4, 2), logits[:, [2, 0]], 1.0))
    targets = torch.from_numpy(split.targets)
    torch.testing.assert_close(term.losses(SETS.losses)(logits, targets), 0.75 * SETS.losses(logits, targets))


@pytest.mark.parametrize("text", ["class_balanced", "logit_adjusted"])
def test_what_is_about_one_class_out_of_several_is_refused(text):
    with pytest.raises(PlanError, match=f"{text} for .*\nfound: its examples do not have one class out of several each"):
        begun(text)


@pytest.mark.parametrize("text", ["focal", "distill(teacher=t)"])
def test_numbers_have_neither(text):
    with pytest.raises(PlanError, match="do not have one class out of several each"):
        begun(text, task=tasks.of("text-regression").bound({"mean": 0.0, "std": 1.0}))
