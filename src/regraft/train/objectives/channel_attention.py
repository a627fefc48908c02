"""How much each channel of a stage matters to a task: what DELTA holds on to (Li et al. 2019, 1901.09229).

    their definition     W_j = softmax over j of (loss without channel j - loss)
    here                 the first-order estimate of that difference, -sum over places of (d loss / d FM_j) FM_j, as in pruning (1611.06440)

Leaving out every channel in turn would take as many forwards of the sample as there are channels, thousands; the estimate takes one forward and backward
for all of them. As in the authors' code the differences are standardised and softened by ``SOFTNESS`` before the softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.data.encode import Encoded, prepare
from regraft.train.terms import tapped
from regraft.trunk.network import Network

SOFTNESS = 5.0
AT_ONCE = 32
Losses = Callable[[Tensor, Tensor], Tensor]


def channel_attention(
    network: Network, split: Encoded, rows: NDArray[np.integer], stages: Sequence[str], losses: Losses
) -> Mapping[str, Tensor]:
    """Stage -> (channels,) float32 of mean 1. ``losses``: (logits, targets) -> (B,). The network is in eval mode, and its parameters take gradients."""
    found = importance(network, split, rows, stages, losses)
    return {name: attention_of(values) for name, values in found.items()}


def attention_of(importances: Tensor) -> Tensor:
    """(channels,): softmax of the standardised ``importances``, times their number."""
    spread = importances.std(correction=0)
    standard = (importances - importances.mean()) / spread if spread > 0 else torch.zeros_like(importances)
    return len(importances) * (standard / SOFTNESS).softmax(0).float()


def importance(network: Network, split: Encoded, rows: NDArray[np.integer], stages: Sequence[str], losses: Losses) -> dict[str, Tensor]:
    """Stage -> (channels,) float64: by how much the mean loss over ``rows`` would rise without each channel, to first order."""
    device, totals = next(network.parameters()).device, dict.fromkeys(stages, torch.zeros(()))
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        with tapped(network, stages) as outputs:
            logits = network(prepare(split.batch(some), network.trunk.input, device=device)).float()
        loss = losses(logits, split.target_batch(some).to(device)).sum()
        gradients = torch.autograd.grad(loss, [outputs[name] for name in stages])
        for name, gradient in zip(stages, gradients, strict=True):
            totals[name] = totals[name].to(device) - by_channel(gradient * outputs[name].detach(), network.trunk.map_axis)
    return {name: total / len(rows) for name, total in totals.items()}


def by_channel(values: Tensor, map_axis: int) -> Tensor:
    """(channels,) float64: the sum of what leaves a stage, (B, C), (B, L, C) or a map, over examples and places."""
    last = values if values.ndim <= 3 else values.movedim(map_axis, -1)
    return last.double().flatten(0, -2).sum(0)
