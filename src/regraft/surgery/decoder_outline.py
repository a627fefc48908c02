"""Counting a decoder over the maps of a trunk: what a forecast has to know of a head that is more than one linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from regraft.trunk.measure import BATCH, FP32_BYTES
from regraft.trunk.outline import StageOutline
from regraft.trunk.pyramid import levels
from regraft.trunk.trunk import Trunk
from regraft.trunk.weightless import weightless

NAME = "head"
LOGIT_COPIES = 3
"""At every pixel: the logits, brought to that size, their softmax and its gradient."""


def decoder_outline(head: nn.Module, trunk: Trunk) -> StageOutline | None:
    """Of a head that ``reads_maps``, by one pass on shapes alone; ``None`` for any other, and where the size of an image is not known."""
    if not getattr(head, "reads_maps", False) or trunk.input.size is None:
        return None
    height, width = trunk.input.size
    maps = [torch.zeros(BATCH, one.channels, round(height / one.stride), round(width / one.stride), device="meta") for one in levels(trunk)]
    copied = weightless(head).train().requires_grad_(True)
    counter, kept = FlopCounterMode(display=False), [0]

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[0] += tensor.numel() * FP32_BYTES
        return tensor

    with counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = copied((*maps, torch.zeros(BATCH, trunk.width, device="meta")))
    at_pixels = LOGIT_COPIES * FP32_BYTES * logits.shape[1] * height * width
    return StageOutline(
        name=NAME,
        parameters=sum(p.numel() for p in head.parameters()),
        macs=counter.get_total_flops() // (2 * BATCH),
        activation_bytes=kept[0] // BATCH + at_pixels,
    )
