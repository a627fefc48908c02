"""What leaves a stage, as one vector for each example: the form in which stages of different models are compared."""

from __future__ import annotations

from torch import Tensor

from regraft.surgery.heads import pool_mean


def pooled(output: Tensor, mask: Tensor | None) -> Tensor:
    """(B, width): of tokens (B, L, width) the mean over ``mask``, of maps (B, width, H, W) that over all places, else as it is."""
    if output.ndim == 3:
        return pool_mean(output, mask)
    return output.flatten(2).mean(2) if output.ndim > 3 else output
