"""How fast this machine computes this trunk: a few real examples, forward, timed. Peak rates of matrix products flatter what short
texts and small images reach by three to ten times, so a forecast is made from this."""

from __future__ import annotations

import time

import torch

from regraft.trunk.outline import Outline
from regraft.trunk.trunk import Inputs, Trunk

FIRST = 2
"""Examples of the first, warming pass; its time says how many more fit into ``LONGEST_S``."""
LONGEST_S = 0.15
REPEATS = 3


@torch.inference_mode()
def gflops(trunk: Trunk, inputs: Inputs, outline: Outline, *, mean_length: float = 0.0) -> float:
    """1e9 floating-point operations a second of a forward pass over ``inputs`` (B, ...), a batch as training will have it; of
    fewer of its examples where all of them would take longer than a moment. ``mean_length``: of the batch, padding included; 0 for images.
    0.0 where the outline counted nothing."""
    scale = mean_length / outline.probe_length if outline.probe_length and mean_length else 1.0
    operations = 2.0 * scale * sum(stage.macs for stage in outline.stages)
    if not operations:
        return 0.0
    was_training = trunk.host.training
    trunk.host.eval()
    try:
        count = len(next(iter(inputs.values())))
        first = min(FIRST, count)
        _seconds(trunk, inputs, first)
        affordable = int(LONGEST_S * first / REPEATS / _seconds(trunk, inputs, first))
        count = max(first, min(count, affordable))
        return operations * count / min(_seconds(trunk, inputs, count) for _ in range(REPEATS)) / 1e9
    finally:
        trunk.host.train(was_training)


def _seconds(trunk: Trunk, inputs: Inputs, count: int) -> float:
    few = {name: tensor[:count] for name, tensor in inputs.items()}
    began = time.perf_counter()
    trunk.features(few)
    return time.perf_counter() - began
