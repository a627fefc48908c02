"""Objectives that weigh examples, over masks: every pixel that counts is an example, and the loss of an image is the mean of its pixels'."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from regraft.data.encoded import IGNORE
from regraft.tasks.segmentation import at_pixels
from regraft.train.objective import Losses, Start

Change = Callable[[Losses], Losses]


def over_examples(start: Start, change: Change) -> Change:
    """``change``, which is written for logits (B, k) and targets (B,): as it is, or for a task whose target is a mask over the pixels of each image."""
    return _over_pixels(change) if start.task.form.target == "mask" else change


def _over_pixels(change: Change) -> Change:
    def changed(inner: Losses) -> Losses:
        of_pixels = change(lambda logits, targets: inner(logits[..., None, None], targets[:, None, None]))  # an image of one pixel each

        def losses(logits: Tensor, targets: Tensor) -> Tensor:
            counting = targets != IGNORE
            said = at_pixels(logits, targets.shape[-2:]).movedim(1, -1)[counting]
            sums = said.new_zeros(len(targets)).index_add(0, counting.nonzero()[:, 0], of_pixels(said, targets[counting]))
            return sums / counting.sum((1, 2)).clamp(min=1)

        return losses

    return changed
