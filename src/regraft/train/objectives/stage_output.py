"""What leaves a stage, as one vector for each example: the form in which stages of different models are compared."""

from __future__ import annotations

from torch import Tensor

from regraft.surgery.heads import pool_mean


def pooled(output: Tensor, mask: Tensor | None, *, map_axis: int = 1) -> Tensor:
    """(B, width): of tokens (B, L, width) the mean over ``mask``, of maps that over all places, else as it is. ``map_axis``: where the channels of
    a map (B, ...) stand, as ``Trunk.map_axis`` says."""
    if output.ndim == 3:
        return pool_mean(output, mask)
    return output.movedim(map_axis, 1).flatten(2).mean(2) if output.ndim > 3 else output
