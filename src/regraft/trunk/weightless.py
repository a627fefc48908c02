"""A copy of a model without weights: the same modules on torch's ``meta`` device, where a forward pass knows shapes and
computes nothing. Looking at the order of modules, at sizes and at costs happens on it, so that the model itself is left alone."""

from __future__ import annotations

import copy
from itertools import chain

import torch
from torch import nn


def weightless(host: nn.Module) -> nn.Module:
    """A deep copy of ``host`` whose parameters and buffers are on ``meta``; no weight is read or copied."""
    memo: dict[int, torch.Tensor] = {}
    for tensor in chain(host.parameters(), host.buffers()):
        empty = torch.empty_like(tensor, device="meta", requires_grad=False)
        memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
    return copy.deepcopy(host, memo)
