"""How fast this machine computes this trunk: a few real examples, forward, timed. Peak rates of matrix products flatter what short
texts and small images reach by three to ten times, so a forecast is made from this."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from regraft.trunk.outline import Outline
from regraft.trunk.trunk import Inputs, Trunk

FIRST = 2
"""Examples of the first, warming pass; each timed pass that follows has twice as many as the one before."""
QUICK_S = 0.05
MORE = 8
"""Times as many instead of twice, after a pass that was quick."""
ENOUGH_S = 0.5
"""Once this much time is spent, no further pass is begun."""
REPEATS = 2
"""Timed passes over all examples, where time allows."""


def gflops(trunk: Trunk, inputs: Inputs, outline: Outline, *, mean_length: float = 0.0) -> float:
    """1e9 floating-point operations a second of a forward pass over ``inputs`` (B, ...), a batch as training will have it; of
    fewer of its examples where all of them would take longer than a moment. ``mean_length``: of the batch, padding included; 0 for images.
    0.0 where the outline counted nothing."""
    scale = mean_length / outline.probe_length if outline.probe_length and mean_length else 1.0
    operations = 2.0 * scale * sum(stage.macs for stage in outline.stages)
    if not operations:
        return 0.0
    with _as_trained(trunk.host), torch.inference_mode():
        return operations * _examples_per_s(trunk, inputs) / 1e9


@contextmanager
def _as_trained(host: nn.Module) -> Iterator[None]:
    """In evaluation, and with the weights of convolutions where their pixels' layout wants them: laid out anew in every pass, they would
    take longer than a few small images do. Afterwards the weights are the very tensors that they were."""
    was_training, held = host.training, [(parameter, parameter.data) for parameter in host.parameters()]
    host.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        yield
    finally:
        host.train(was_training)
        for parameter, data in held:
            parameter.data = data


def _examples_per_s(trunk: Trunk, inputs: Inputs) -> float:
    """Of the fastest pass. What a pass costs however few its examples are is not to be counted for each of them, so they become more while time allows."""
    most = len(next(iter(inputs.values())))
    count = min(FIRST, most)
    if _seconds(trunk, inputs, count) < QUICK_S:
        count = min(MORE * count, most)
    spent, best, whole = 0.0, 0.0, 0
    while not best or (spent < ENOUGH_S and whole < REPEATS):
        took = _seconds(trunk, inputs, count)
        spent, best, whole = spent + took, max(best, count / took), whole + (count == most)
        count = min((MORE if took < QUICK_S else 2) * count, most)
    return best


def _seconds(trunk: Trunk, inputs: Inputs, count: int) -> float:
    few = {name: tensor[:count] for name, tensor in inputs.items()}
    began = time.perf_counter()
    trunk.features(few)
    return time.perf_counter() - began
