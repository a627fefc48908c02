"""Dropout (Srivastava et al. 2014) on a processor of few threads: sixteen random bits to an element, four elements to a draw.

torch tosses a coin for each element, of which a step of a small text encoder has some millions: a twentieth of its time. Spread over many threads that is soon done,
while one draw after the other is not, so that these keep torch's own. What is dropped is the share asked for, to one part in 65,536; what stays is scaled by the
share that stays, as ever. Noise comes from torch's generator: a step draws the same whenever it is taken with the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

FEW = 4
"""Threads up to which one draw for four elements is the faster way."""
VALUES = 1 << 16


def cheap_dropout(network: nn.Module, device: torch.device) -> AbstractContextManager[Any]:
    """For a forward and a backward pass of ``network``: its dropout drawn in the faster way, where that is one."""
    drops = device.type == "cpu" and torch.get_num_threads() <= FEW
    return _Cheap() if drops and any(isinstance(part, nn.Dropout) and part.p for part in network.modules()) else nullcontext()


class _Cheap(TorchFunctionMode):
    def __torch_function__(
        self, function: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if function is functional.dropout:
            return dropout(*args, **(kwargs or {}))
        if function is functional.scaled_dot_product_attention:
            return attention(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def dropout(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As ``torch.nn.functional.dropout``."""
    cut = round(p * VALUES)
    if not training or not 0 < cut < VALUES or not values.is_floating_point():
        return functional.dropout(values, p, training, inplace)
    noise = _kept(values.shape, cut).to(values.dtype).mul_(VALUES / (VALUES - cut))
    return values.mul_(noise) if inplace else values * noise


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """As ``torch.nn.functional.scaled_dot_product_attention``, which on a processor writes the weights down too where it drops some."""
    if not dropout_p or is_causal or enable_gqa:
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    scores = (query * (scale or query.shape[-1] ** -0.5)) @ key.transpose(-2, -1)
    least = torch.finfo(scores.dtype).min  # finite, so that a row in which all is masked stays a number
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, least)
    elif attn_mask is not None:
        scores = scores + attn_mask.clamp(min=least)
    return dropout(scores.softmax(-1), dropout_p) @ value


def _kept(shape: torch.Size, cut: int) -> Tensor:
    """Bool, false in ``cut`` of 65,536 cases."""
    count = math.prod(shape)
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    return bits.view(torch.int16)[:count].view(shape) >= cut - VALUES // 2
