"""How many training examples each class has: what objectives for unequal classes are made of."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from regraft.errors import PlanError
from regraft.train.objective import Start

PIXELS = 1 << 16
"""Of an image, where a class without one is counted as having a single one."""


class ClassCounts:
    """Of the training split of ``start``, whose targets must be one class index each, or a mask of them: then in whole images, by the share of all pixels
    that a class has. ``name``: of the objective that asks. ``least``: the count to assume of a class without an example."""

    def __init__(self, start: Start, name: str) -> None:
        one_label_each(start, name)
        of_pixels = start.task.form.target == "mask"
        self.found = len(start.train) * np.asarray(start.task.facts["shares"]) if of_pixels else np.bincount(start.train.targets)
        self.least = 1 / PIXELS if of_pixels else 1.0

    def of(self, num_classes: int) -> Tensor:
        """(num_classes,) float64; 0 where a class has no example."""
        counts = torch.zeros(num_classes, dtype=torch.float64)
        counts[: len(self.found)] = torch.from_numpy(self.found)
        return counts


def one_label(start: Start, name: str) -> None:
    """Raise ``PlanError`` where the task is not to find one class out of several: ``name`` is about the softmax over them."""
    if start.task.form.target != "class":
        raise PlanError(f"{name} for {start.plan.task}", "its examples do not have one class out of several each", "a classification task")


def one_label_each(start: Start, name: str) -> None:
    """As ``one_label``, where the examples may be the pixels of masks too."""
    if start.task.form.target != "mask":
        one_label(start, name)


def class_shares(targets: Tensor, num_classes: int) -> Tensor:
    """(B, k) float32: how much of each class is in each example, for indices (B,) as for the mixed targets of augmentation."""
    return targets.float() if targets.is_floating_point() else nn.functional.one_hot(targets, num_classes).float()
