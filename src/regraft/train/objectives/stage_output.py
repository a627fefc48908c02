"""What leaves a stage, in two forms in which stages of different models are compared: one vector for each example, or where the stage looks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from regraft.errors import PlanError
from regraft.surgery.heads import pool_mean

SIDE = 8
PLACES = SIDE * SIDE
"""Of every map of where a stage looks: 8 x 8 of an image, 64 spans of a text or a sound. Maps of other sizes are brought to that."""


def pooled(output: Tensor, mask: Tensor | None, *, map_axis: int = 1) -> Tensor:
    """(B, width): of tokens (B, L, width) the mean over ``mask``, of maps that over all places, else as it is. ``map_axis``: where the channels of
    a map (B, ...) stand, as ``Trunk.map_axis`` says."""
    if output.ndim == 3:
        return pool_mean(output, mask)
    return output.movedim(map_axis, 1).flatten(2).mean(2) if output.ndim > 3 else output


def places(output: Tensor, mask: Tensor | None, *, map_axis: int = 1) -> Tensor:
    """(B, PLACES), each row of length 1: the mean of the squares over the channels, place by place, where ``mask`` says that there is one.

    Raises ``PlanError`` where what leaves the stage is one vector.
    """
    if output.ndim < 3:
        raise PlanError("where a stage looks", "what leaves it is one vector, which has no places", "a stage further down")
    if output.ndim == 3:
        looked = _spans(output.float().square().mean(2), mask)
    else:
        squares = output.float().movedim(map_axis, 1).square().mean(1, keepdim=True)
        looked = functional.adaptive_avg_pool2d(squares, SIDE).flatten(1)
    return functional.normalize(looked, dim=1)


def _spans(values: Tensor, mask: Tensor | None) -> Tensor:
    """(B, L) -> (B, PLACES): means over spans of equal length of the tokens that are none of padding, which stand in a row."""
    here = torch.ones_like(values) if mask is None else mask.to(values)
    first, count = here.argmax(1, keepdim=True), here.sum(1, keepdim=True).long()
    edges = torch.arange(PLACES + 1, device=values.device)
    begin = edges[:-1] * count // PLACES
    end = torch.maximum((edges[1:] * count + PLACES - 1) // PLACES, begin + 1)
    sums = functional.pad((values * here).cumsum(1), (1, 0))
    return (sums.gather(1, first + end) - sums.gather(1, first + begin)) / (end - begin)
