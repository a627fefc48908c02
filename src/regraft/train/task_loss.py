"""What is minimised: the task's loss, averaged over the examples of the whole effective batch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def share_of_loss(task: Any, logits: Tensor, targets: Tensor, *, count: float, label_smoothing: float) -> Tensor:
    """This part's share of the batch's mean loss: its sum over ``count``, the examples of the whole effective batch.

    Shares add up to the mean, and their gradients to its gradient, whatever the sizes of the parts. ``targets``:
    class indices (B,), or probabilities (B, k) where examples were mixed.
    """
    losses: Tensor = task.losses(logits.float(), targets, label_smoothing=label_smoothing)
    return losses.sum() / count


def as_probabilities(targets: Tensor, num_classes: int) -> Tensor:
    """(B,) class indices as one-hot rows (B, k), float32: the form in which examples can be mixed."""
    return nn.functional.one_hot(targets, num_classes).float()
