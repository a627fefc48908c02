"""Try something on a network and leave no trace: values, flags, modes and random numbers are afterwards what they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor

from regraft.train.terms import Terms
from regraft.trunk.network import Network


@contextmanager
def restored(network: Network, stages: Iterable[int], *, terms: Terms) -> Iterator[None]:
    """Keeps a copy of the parameters and buffers of ``stages``, which must have the same modules again at the end, and of the objectives' state."""
    stages, held = list(stages), deepcopy(terms.state())
    parameters = {p: p.detach().clone(memory_format=torch.preserve_format) for index in stages for _, p in network.stage_parameters(index)}
    buffers = {name: b.detach().clone() for index in stages for name, b in network.stage_buffers(index)}
    flags = [(p, p.requires_grad) for p in network.parameters()]
    modes = [(module, module.training) for module in network.modules()]
    device = next(network.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            _put_back(network, stages, parameters, buffers)
            terms.load(held)
            for parameter, flag in flags:
                parameter.requires_grad_(flag)
                parameter.grad = None
            for own in terms.parameters:
                own.grad = None
            for module, mode in modes:
                module.training = mode


@torch.no_grad()
def _put_back(network: Network, stages: list[int], parameters: dict[torch.nn.Parameter, Tensor], buffers: dict[str, Tensor]) -> None:
    for parameter, value in parameters.items():
        parameter.copy_(value)
    for index in stages:
        for name, buffer in network.stage_buffers(index):
            if name in buffers:
                buffer.copy_(buffers[name])
