"""Classification as a task: losses as in the papers, probabilities that add up, predictions that a person can read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from regraft import tasks
from regraft.spec import InputSpec
from regraft.tasks.classification import losses, predictions, probabilities
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Trunk

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]])


def test_losses_are_the_log_loss_of_each_example():
    expected = -LOGITS.log_softmax(1)[torch.arange(2), torch.tensor([0, 2])]
    assert torch.allclose(losses(LOGITS, torch.tensor([0, 2])), expected)


def test_label_smoothing_spreads_its_share_over_all_classes():
    smoothed = losses(LOGITS, torch.tensor([0, 2]), label_smoothing=0.3)
    plain = losses(LOGITS, torch.tensor([0, 2]))
    assert torch.allclose(smoothed, 0.7 * plain - 0.3 * LOGITS.log_softmax(1).mean(1))


def test_soft_targets_of_one_class_equal_hard_ones_also_under_smoothing():
    hard, soft = torch.tensor([0, 2]), nn.functional.one_hot(torch.tensor([0, 2]), 3).float()
    for smoothing in (0.0, 0.2):
        assert torch.allclose(losses(LOGITS, soft, smoothing), losses(LOGITS, hard, smoothing))


def test_mixed_targets_give_the_mixed_loss():
    a, b = torch.tensor([0, 2]), torch.tensor([1, 0])
    mixed = 0.25 * nn.functional.one_hot(a, 3).float() + 0.75 * nn.functional.one_hot(b, 3).float()
    assert torch.allclose(losses(LOGITS, mixed), 0.25 * losses(LOGITS, a) + 0.75 * losses(LOGITS, b))


def test_probabilities_survive_huge_logits():
    table = probabilities(np.array([[1000.0, 0.0], [-1000.0, -1000.0]], dtype=np.float32))
    assert table.dtype == np.float32
    assert table.tolist() == [[1.0, 0.0], [0.5, 0.5]]


def test_predictions_name_the_label_and_the_likeliest_classes_in_order():
    table = np.array([[0.1, 0.7, 0.2]], dtype=np.float32)
    (prediction,) = predictions(table, ["a", "b", "c"], ["where is my card?"])
    assert prediction["input"] == "where is my card?"
    assert prediction["label"] == "b"
    assert prediction["probability"] == pytest.approx(0.7)
    assert [top["label"] for top in prediction["top"]] == ["b", "c", "a"]


def test_no_more_than_five_classes_are_named():
    table = np.full((1, 9), 1 / 9)
    assert len(predictions(table, [str(i) for i in range(9)], ["x"])[0]["top"]) == 5


@pytest.mark.parametrize("name", ["text-classification", "image-classification"])
def test_the_head_takes_width_and_pooling_from_the_trunk(name: str):
    host = nn.Sequential(nn.Linear(4, 6))
    trunk = Trunk(host=host, stages=(Stage("stem", ("0",)),), input=InputSpec(kind="tensor"), width=6)
    head = tasks.of(name).head(trunk, 3, 0.1)
    assert head(torch.randn(2, 6), None).shape == (2, 3)


def test_the_document_has_the_keys_that_the_design_promises():
    table = np.array([[0.9, 0.1], [0.2, 0.8]])
    document = tasks.of("text-classification").document(table, np.array([0, 1]), ["no", "yes"])
    assert {"metrics", "per_class", "confusion", "calibration", "num_examples"} <= set(document)
