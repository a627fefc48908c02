"""Entries in half the bytes: what rounding them does to the logits, measured on a probe batch before it is relied on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from regraft.cache.boundary import Boundary
from regraft.cache.forwards import evaluating
from regraft.trunk.network import Network
from regraft.trunk.trunk import Inputs

HALVES = ("float16", "bfloat16")


def effects(boundary: Boundary, inputs: Inputs, *, pooled: bool = False) -> dict[str, float]:
    """For each half format, the largest difference that storing entries in it makes to the logits of ``inputs``, as a share of the largest
    logit; infinite where values do not fit. Nothing where the entries are no wider than that already."""
    with torch.no_grad(), evaluating(boundary.network):
        captured = boundary.capture_pooled(inputs) if pooled else boundary.capture(inputs)
        if all(tensor.element_size() <= 2 or not tensor.is_floating_point() for tensor in captured.values()):
            return {}
        exact = boundary.resume(_copied(captured), inputs)
        return {half: relative(exact, boundary.resume(_rounded(captured, getattr(torch, half)), inputs)) for half in HALVES}


def of_computing(network: Network, inputs: Inputs, autocast: Callable[[], AbstractContextManager]) -> float:
    """The same share for computing in lower precision: what a run accepts already."""
    with torch.no_grad(), evaluating(network):
        exact = network(inputs)
        with autocast():
            return relative(exact, network(inputs))


def relative(exact: Tensor, other: Tensor) -> float:
    """Largest difference, as a share of the largest absolute value of ``exact``; infinite where one is not finite."""
    difference = (exact.float() - other.float()).abs().max() / exact.float().abs().max().clamp(min=1e-12)
    return float(difference) if bool(torch.isfinite(difference)) else float("inf")


def _rounded(entries: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: tensor.to(dtype).to(tensor.dtype) if tensor.is_floating_point() else tensor.clone() for name, tensor in entries.items()}


def _copied(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in entries.items()}
