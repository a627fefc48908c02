"""The gradient of a convolution's weights as products of matrices, on a processor of few threads with AVX2 and without AVX-512.

    windows   (places, kernel × channels)   what each place of the result has read, side by side, for a few images at a time
    gradient  (places, out)                 of the result
    gradientᵀ windows                       (out, kernel × channels): the gradient of the weights

oneDNN, which torch asks, spends half of a ResNet's backward pass on it there: it reaches a third to two thirds of the rate of the forward pass. The numbers are the same, to rounding.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from regraft.cache.forwards import Forward, standing_in

Pair = tuple[int, int]

FEW = 2
"""Threads up to which this was seen to be the faster way."""
WIDTH, OUT = 96, 64
"""Numbers in a window, and channels of the result, from which on products are the faster way (benchmarks/RESULTS.md)."""
PLACES = 2048
"""About so many are laid out at once: their windows are read again while they are near. Windows of one pixel lie side by side already."""


def product_gradients(network: nn.Module, device: torch.device) -> AbstractContextManager[None]:
    """For a forward and a backward pass of ``network``: the gradients of its convolutions' weights as products, where that is the faster way."""
    if device.type != "cpu" or torch.get_num_threads() > FEW or torch.backends.cpu.get_cpu_capability() != "AVX2":
        return nullcontext()
    found = [part for part in network.modules() if type(part) is nn.Conv2d and _is_fit(part)]
    return standing_in(network, dict.fromkeys(found, _convolved)) if found else nullcontext()


def _is_fit(part: nn.Conv2d) -> bool:
    plain = part.groups == 1 and part.padding_mode == "zeros" and not isinstance(part.padding, str)
    wide = part.in_channels * math.prod(part.kernel_size) >= WIDTH and part.out_channels >= OUT
    return plain and wide and part.weight.requires_grad and part.weight.dtype == torch.float32


def _convolved(module: nn.Module, own: Forward, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    assert isinstance(module, nn.Conv2d)
    (pixels,) = (*args, *kwargs.values())
    if not torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        result: Tensor = own(pixels)
        return result
    convolved: Tensor = _Convolution.apply(pixels, module.weight, module.bias, module.stride, module.padding, module.dilation)
    return convolved


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pixels: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
        ctx.save_for_backward(pixels, weight)
        ctx.places = stride, padding, dilation
        return functional.conv2d(pixels, weight, bias, stride, padding, dilation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        pixels, weight = ctx.saved_tensors
        to_pixels, to_weight, to_bias, *_ = ctx.needs_input_grad
        mask = [to_pixels, False, False]
        return (
            torch.ops.aten.convolution_backward(gradient, pixels, weight, None, *ctx.places, False, [0, 0], 1, mask)[0],
            _to_weight(pixels, gradient, weight, *ctx.places) if to_weight else None,
            gradient.sum((0, 2, 3)) if to_bias else None,
            *(None for _ in ctx.places),
        )


def _to_weight(pixels: Tensor, gradient: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """(out, channels, height, width) as ``weight``, from ``pixels`` (B, channels, H, W) and the ``gradient`` (B, out, H', W') of the result."""
    out, channels, *kernel = weight.shape
    height, width = gradient.shape[2:]
    images, lines = (max(1, PLACES // (height * width)), max(1, PLACES // width)) if kernel != [1, 1] else (len(pixels), height)
    total = gradient.new_zeros(out, channels * kernel[0] * kernel[1])
    for some, its in zip(pixels.split(images), gradient.permute(0, 2, 3, 1).split(images), strict=True):
        windows = _windows(some, (height, width), kernel, stride, padding, dilation)
        for part, read in zip(its.split(lines, 1), windows.split(lines, 1), strict=True):
            total = total.addmm_(part.reshape(-1, out).t(), read.reshape(-1, total.shape[1]))
    return total.view(out, *kernel, channels).permute(0, 3, 1, 2)


def _windows(pixels: Tensor, places: Pair, kernel: list[int], stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """(B, H', W', height, width, channels): a view of the pixels, or of a copy with their border."""
    down, across = padding
    rows = pixels.permute(0, 2, 3, 1)
    if down or across:
        rows = functional.pad(rows, (0, 0, across, across, down, down))
    image, line, place, channel = rows.stride()
    strides = (image, line * stride[0], place * stride[1], line * dilation[0], place * dilation[1], channel)
    return rows.as_strided((len(rows), *places, *kernel, rows.shape[3]), strides)
