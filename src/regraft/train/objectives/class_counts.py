"""How many training examples each class has: what objectives for unequal classes are made of."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from regraft.errors import PlanError
from regraft.train.objective import Start


class ClassCounts:
    """Of the training split of ``start``, whose targets must be one class index each. ``name``: of the objective that asks."""

    def __init__(self, start: Start, name: str) -> None:
        one_label(start, name)
        self.found = np.bincount(start.train.targets)

    def of(self, num_classes: int) -> Tensor:
        """(num_classes,) float64; 0 where a class has no example."""
        counts = torch.zeros(num_classes, dtype=torch.float64)
        counts[: len(self.found)] = torch.from_numpy(self.found)
        return counts


def one_label(start: Start, name: str) -> None:
    """Raise ``PlanError`` where the task is not to find one class out of several: ``name`` is about the softmax over them."""
    if start.task.form.target != "class":
        raise PlanError(f"{name} for {start.plan.task}", "its examples do not have one class out of several each", "a classification task")


def class_shares(targets: Tensor, num_classes: int) -> Tensor:
    """(B, k) float32: how much of each class is in each example, for indices (B,) as for the mixed targets of augmentation."""
    return targets.float() if targets.is_floating_point() else nn.functional.one_hot(targets, num_classes).float()
