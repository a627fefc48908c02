"""Gradient checkpointing (Chen et al. 2016, 1604.06174): of a stage only what enters it is held for the backward pass, the rest is computed again there.

About a third more work for a fraction of the memory, and the same numbers: random draws are repeated, and batch norm takes in a batch once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from regraft.cache.forwards import Forward, call_points, standing_in
from regraft.trunk.network import Network

Norm = nn.modules.batchnorm._BatchNorm


@contextmanager
def recomputing(network: Network, boundary: int) -> Iterator[None]:
    """For one forward and backward pass: the trunk's stages from ``boundary`` up hold only what enters them."""
    above = range(boundary, len(network.trunk.stages))
    points = call_points([part for index in above for part in network.stage_modules(index)])
    with standing_in(network, dict.fromkeys(points, _held_lightly)):
        yield


def _held_lightly(module: nn.Module, own: Forward, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not torch.is_grad_enabled():
        return own(*args, **kwargs)
    return checkpoint(partial(own, **kwargs), *args, use_reentrant=False, context_fn=partial(_contexts, module))


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _keeping_statistics(module)


@contextmanager
def _keeping_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norm normalises by the batch as before, and takes it into its averages no second time."""
    learning = [part for part in module.modules() if isinstance(part, Norm) and part.training and part.track_running_stats]
    held = [(part, part.momentum, part.num_batches_tracked) for part in learning]
    for part in learning:
        part.momentum = 0.0
    try:
        yield
    finally:
        for part, momentum, count in held:
            part.momentum = momentum
            if count is not None:
                count.sub_(1)
