"""Dropout (Srivastava et al. 2014) on a processor of few threads: sixteen random bits to an element, four elements to a draw.

torch tosses a coin for each element, of which a step of a small text encoder has some millions: a twentieth of its time. Spread over many threads that is soon done,
while one draw after the other is not, so that these keep torch's own. What is dropped is the share asked for, to one part in 65,536; what stays is scaled by the
share that stays, as ever. Noise comes from torch's generator: a step draws the same whenever it is taken with the same seed.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from regraft.cache.forwards import Forward, standing_in

FEW = 4
"""Threads up to which one draw for four elements is the faster way."""
VALUES = 1 << 16


def cheap_dropout(network: nn.Module, device: torch.device) -> AbstractContextManager[None]:
    """For a forward and a backward pass of ``network``: its dropout drawn in the faster way, where that is one."""
    if device.type != "cpu" or torch.get_num_threads() > FEW:
        return nullcontext()
    drops = [part for part in network.modules() if type(part) is nn.Dropout and part.p]
    return standing_in(network, dict.fromkeys(drops, _drop)) if drops else nullcontext()


def _drop(module: nn.Module, own: Forward, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    assert isinstance(module, nn.Dropout)
    (values,) = (*args, *kwargs.values())
    return dropout(values, module.p, module.training, module.inplace)


def dropout(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As ``torch.nn.functional.dropout``."""
    cut = round(p * VALUES)
    if not training or not 0 < cut < VALUES or not values.is_floating_point():
        return functional.dropout(values, p, training, inplace)
    noise = _kept(values.shape, cut).to(values.dtype).mul_(VALUES / (VALUES - cut))
    return values.mul_(noise) if inplace else values * noise


def _kept(shape: torch.Size, cut: int) -> Tensor:
    """Bool, false in ``cut`` of 65,536 cases."""
    count = math.prod(shape)
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    return bits.view(torch.int16)[:count].view(shape) >= cut - VALUES // 2
