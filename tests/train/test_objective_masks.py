"""Losses for rare pixels, against their definitions and against the same losses on the pixels laid out as examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from train_hosts import TEXT, Arrays, full, text_network

from regraft import tasks
from regraft.data.encoded import IGNORE
from regraft.errors import PlanError
from regraft.plan.objective import parse
from regraft.train.objective import Losses, Start, check
from regraft.train.objectives.class_balanced import class_weights
from regraft.train.objectives.dice import dice_losses

SHARES = [0.97, 0.03]
MASKS = tasks.of("semantic-segmentation").bound({"classes": ["sound", "defect"], "shares": SHARES})
IMAGES = 200


def losses_of(text: str, task=MASKS) -> Losses:
    """The task's loss as ``text`` changes it."""
    network = text_network()
    split = Arrays("input_ids", np.ones((IMAGES, 4), np.int64), np.zeros(IMAGES, np.int64))
    start = Start(network=network, plan=full(network), task=task, train=split, device=torch.device("cpu"), asked={})
    made: Losses = task.losses
    for declared in check(parse(text)):
        made = declared.begin(start).losses(made)
    return made


@pytest.fixture
def seen():
    """Logits at a quarter of the places, a mask with pixels that do not count, and an image without one that does."""
    chance = torch.Generator().manual_seed(3)
    logits = torch.randn(3, 2, 4, 6, generator=chance)
    targets = torch.randint(0, 2, (3, 8, 12), generator=chance)
    targets[0, :3] = IGNORE
    targets[2] = IGNORE
    return logits, targets


def by_hand(seen, weigh):
    """(B,): the mean over the pixels of each image that count of weigh(p, targets) * cross-entropy."""
    logits, targets = seen
    full_size = nn.functional.interpolate(logits, targets.shape[-2:], mode="bilinear", align_corners=False)
    found = []
    for image, mask in zip(full_size, targets, strict=True):
        pixels, truth = image.movedim(0, -1)[mask != IGNORE], mask[mask != IGNORE]
        p = pixels.softmax(1)[torch.arange(len(truth)), truth]
        found.append((weigh(p, truth) * -p.log()).mean() if len(truth) else torch.tensor(0.0))
    return torch.stack(found)


def test_focal_weighs_each_pixel(seen):
    torch.testing.assert_close(losses_of("focal(gamma=2)")(*seen), by_hand(seen, lambda p, truth: (1 - p) ** 2))
    torch.testing.assert_close(losses_of("focal(gamma=0)")(*seen), MASKS.losses(*seen))


def test_class_balanced_counts_pixels_in_whole_images(seen):
    weights = class_weights(IMAGES * torch.tensor(SHARES, dtype=torch.float64), 0.99).float()
    assert weights[1] > 10 * weights[0]
    torch.testing.assert_close(losses_of("class_balanced(beta=0.99)")(*seen), by_hand(seen, lambda p, truth: weights[truth]))


def test_logit_adjusted_adds_the_log_of_the_share_of_pixels(seen):
    logits, targets = seen
    moved = logits + torch.tensor(SHARES).log()[:, None, None]
    torch.testing.assert_close(losses_of("logit_adjusted")(logits, targets), MASKS.losses(moved, targets))


def test_they_compose(seen):
    weights = class_weights(IMAGES * torch.tensor(SHARES, dtype=torch.float64), 0.99).float()
    found = losses_of("class_balanced(beta=0.99)+focal(gamma=1)")(*seen)
    torch.testing.assert_close(found, by_hand(seen, lambda p, truth: weights[truth] * (1 - p)))


def test_dice_is_the_overlap_of_each_class_that_is_there():
    targets = torch.tensor([[[0, 0, 1, IGNORE]], [[0, 0, 0, 0]]])
    p = torch.tensor([[0.8, 0.6, 0.5, 0.1], [0.9, 0.9, 0.9, 0.9]])[:, None]
    logits = torch.stack([p.log(), (1 - p).log()], 1)
    sound = 2 * (0.8 + 0.6) / (0.64 + 0.36 + 0.25 + 2)
    defect = 2 * 0.5 / (0.04 + 0.16 + 0.25 + 1)
    whole = 2 * 3.6 / (4 * 0.81 + 4)
    torch.testing.assert_close(dice_losses(logits, targets), torch.tensor([1 - (sound + defect) / 2, 1 - whole]))


def test_dice_is_added_and_has_a_gradient(seen):
    logits, targets = seen[0].requires_grad_(), seen[1]
    torch.testing.assert_close(
        losses_of("dice(weight=0.5)")(logits, targets), MASKS.losses(logits, targets) + 0.5 * dice_losses(logits, targets)
    )
    dice_losses(logits, targets).sum().backward()
    assert torch.isfinite(logits.grad).all() and logits.grad[0].abs().sum() > 0 and logits.grad[2].abs().sum() == 0


def test_an_answer_that_is_right_costs_nothing():
    targets = torch.tensor([[[0, 1], [1, 1]]])
    sure = 100.0 * nn.functional.one_hot(targets, 2).movedim(-1, 1).float()
    torch.testing.assert_close(dice_losses(sure, targets), torch.zeros(1))


def test_dice_without_masks_is_refused():
    with pytest.raises(PlanError, match=r"dice for .*\nfound: its examples have no masks"):
        losses_of("dice", TEXT)
