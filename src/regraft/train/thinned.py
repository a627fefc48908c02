"""Convolutions of one pixel with a stride, over few channels, computed on every n-th pixel without a stride: the same numbers.

On processors with AVX2 and no AVX-512, oneDNN 3.13 (as in torch 2.15) writes beyond the gradient of their weights in channels-last order, and the process dies. RepVGG and MobileOne begin with one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from regraft.cache.forwards import Forward, standing_in

CHANNELS = 8
"""From so many on the gradient is right."""


def thinned(network: nn.Module) -> AbstractContextManager[None]:
    """For a forward and a backward pass of ``network`` on a processor."""
    at_risk = [part for part in network.modules() if type(part) is nn.Conv2d and _is_at_risk(part)]
    return standing_in(network, dict.fromkeys(at_risk, _of_every_nth)) if at_risk else nullcontext()


def _is_at_risk(part: nn.Conv2d) -> bool:
    alone = part.kernel_size == (1, 1) and part.padding == (0, 0) and part.groups == 1
    return alone and part.in_channels < CHANNELS and part.stride != (1, 1)


def _of_every_nth(module: nn.Module, own: Forward, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    assert isinstance(module, nn.Conv2d)
    down, across = module.stride
    (pixels,) = (*args, *kwargs.values())
    return functional.conv2d(pixels[..., ::down, ::across], module.weight, module.bias)
