"""``delta(strength=0.01, head=0.01)``: hold the features, not the weights, near those of the start, most where the task needs them (DELTA: deep learning
transfer using feature map with attention; Li et al. 2019, 1901.09229).

    strength / 2 * sum over stages and channels of C W_j mean over places of (FM_j - start's FM_j)^2  +  head / 2 * ||w_head||^2

W_j is the attention of channel j, C their number (``channel_attention.py`` says how it is found, and where that is simpler than in the paper); the start sees
what the network sees, augmented and mixed, in eval mode. Held is what leaves the last stage of each size, as the paper holds the last map of each size, or the ``stages`` named; of
tokens (B, L, C) each that is no padding is a place. Attention is measured on ``count`` training examples under a head that was solved for the task;
``attention=none`` weighs all channels alike, which needs no head (their DELTA without attention). The sum is one of each example, so the authors' 0.01 on the sum over a batch of
64 is 0.64 here. A stage below the boundary of a phase costs nothing in it: it does not move.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regraft.cache.boundary import Boundary
from regraft.cache.forwards import evaluating
from regraft.cache.pooled import linear_features
from regraft.data.encode import prepare
from regraft.errors import PlanError, suggest
from regraft.plan.plan import Plan
from regraft.train.feed import Part
from regraft.train.objective import Declared, Seen, Start, Term, objective, require
from regraft.train.objectives.channel_attention import channel_attention
from regraft.train.objectives.stage_output import pooled
from regraft.train.run import Run
from regraft.train.seeding import seed_of
from regraft.train.terms import tapped
from regraft.trunk.network import Network

Attention = Literal["importance", "none"]
MEASURED = 4
"""Forwards of one example that attention takes: one for the features of the head, one more and its backward pass."""


@objective
def delta(
    *, strength: float = 0.01, head: float = 0.01, stages: tuple[str, ...] = (), attention: Attention = "importance", count: int = 500
) -> Declared:
    require(strength > 0, f"delta(strength={strength:g})", "a strength is above 0")
    require(head >= 0, f"delta(head={head:g})", "a strength is not negative")
    require(count >= 1, f"delta(count={count})", "it takes at least one example")
    named = (stages,) if isinstance(stages, str) else tuple(map(str, stages))
    ahead = MEASURED * count if attention == "importance" else 0
    return Declared(lambda start: _Delta(start, strength, head, _chosen(start, named), count=count if ahead else 0).term(),
                    forwards=1, copies=1, ahead=lambda num_train: min(ahead, MEASURED * num_train))  # fmt: skip


class _Delta:
    """``count``: of the examples that attention is measured on; 0: all channels alike."""

    def __init__(self, start: Start, strength: float, head: float, stages: tuple[str, ...], *, count: int) -> None:
        _check(start.plan)
        self.strength, self.stages, self.last = strength, stages, len(start.plan.stages) - 1
        self.pulled = [p for _, p in start.network.stage_parameters(self.last)] if head else []
        self.head = head
        self.start = deepcopy(start.network).eval()
        self.map_axis = start.network.trunk.map_axis
        self.attention = _attention(start, self.start, stages, count) if count else {}
        self.start.requires_grad_(False)
        self.examples = prepare(start.train.batch(np.arange(1)), start.network.trunk.input, device=start.device)
        self.boundary: Boundary | None = None

    def term(self) -> Term:
        return Term(shares=self.shares, penalty=self.penalty if self.head else None, stages=self.stages)

    def shares(self, seen: Seen) -> Tensor:
        total = torch.zeros(len(seen.logits), device=seen.logits.device)
        above = [name for name in self.stages if name in seen.features]
        started = self._started(seen.run, seen.part, above) if above else {}
        for name in above:
            squares = (seen.features[name].float() - started[name].float()).square()
            distances = pooled(squares, seen.part.inputs.get("attention_mask"), map_axis=self.map_axis)
            weights = self.attention.get(name)
            total = total + (distances.sum(1) if weights is None else distances @ weights)
        return self.strength / 2 * total

    def penalty(self, run: Run) -> Tensor:
        moving = set(run.parameters)
        sizes = [p.square().sum() for p in self.pulled if p in moving]
        return self.head / 2 * sum(sizes, start=torch.zeros((), device=run.device))

    @torch.no_grad()
    def _started(self, run: Run, part: Part, stages: list[str]) -> Mapping[str, Tensor]:
        """What leaves ``stages`` for ``part`` in the network as it was."""
        part = part.copied()
        with run.precision.autocast(), tapped(self.start, stages) as found:
            if part.entries:
                self._above(run.present.boundary).resume(part.entries, part.inputs)
            else:
                self.start(part.inputs)
        return found

    def _above(self, index: int) -> Boundary:
        if self.boundary is None or self.boundary.index != index:
            self.boundary = Boundary(self.start, index)
            self.boundary.entrance(self.examples)
        return self.boundary


def _check(plan: Plan) -> None:
    """There is a start worth holding, and what enters a cached phase is what entered it at the start."""
    if plan.phases[0].fresh:
        raise PlanError("delta from random weights", "there are no features to hold on to", "--strategy full")
    moved = len(plan.stages)
    for phase in plan.phases:
        if moved < phase.boundary:
            raise PlanError(f"delta with phase {phase.name!r}", f"{plan.stages[moved]} is frozen in it and moved before, so the start's features above it are not known",
                            "phases that go on training what they have begun to")  # fmt: skip
        moved = min(moved, phase.boundary)


def _chosen(start: Start, named: tuple[str, ...]) -> tuple[str, ...]:
    known = start.network.trunk.stage_names
    for name in named:
        if name not in known:
            raise PlanError(f"delta(stages=[{name}])", "the network has no such stage", suggest(name, known))
    return named or last_of_each_size(start)


@torch.no_grad()
def last_of_each_size(start: Start) -> tuple[str, ...]:
    """The last stage of those whose outputs have as many places: pixels, tokens, or none."""
    network, sizes = start.network, {}
    with evaluating(network), tapped(network, network.trunk.stage_names) as found:
        network(prepare(start.train.batch(np.arange(1)), network.trunk.input, device=start.device))
    for name in network.trunk.stage_names:
        shape = list(found[name].shape[1:])
        sizes[tuple(shape[:-1] if len(shape) < 3 else np.delete(shape, network.trunk.map_axis - 1).tolist())] = name
    return tuple(sizes.values())


def _attention(start: Start, network: Network, stages: tuple[str, ...], count: int) -> dict[str, Tensor]:
    """``network``: a copy of the start's, whose head is solved for the examples first: of its features alone there is need later."""
    seed = seed_of(start.plan.settings.seed, "attention") % 2**32
    rows = np.random.default_rng(seed).permutation(len(start.train))[:count]
    _solve(start, network, rows)
    losses = partial(start.task.losses, label_smoothing=0.0)
    return dict(channel_attention(network.requires_grad_(True), start.train, rows, stages, losses))


def _solve(start: Start, network: Network, rows: NDArray[np.integer]) -> None:
    head, sample = network.head, start.train.subset(rows)
    layer = getattr(head, "linear", None)
    if network.trunk.own_head is not None:  # pretrained with the trunk: it knows already
        return
    if start.task.solve is None or not isinstance(layer, nn.Linear) or not hasattr(head, "pool") or not getattr(head, "is_linear", True):
        raise PlanError(f"delta for {start.plan.task}", "its head is not solved in closed form, so what a channel is worth to the task is not known before training",
                        "delta(attention=none)")  # fmt: skip
    features = linear_features(network, sample)
    weights, bias = start.task.solve(features, sample.targets, num_outputs=layer.out_features, seed=start.plan.settings.seed, restraint=1.0)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights))
        layer.bias.copy_(torch.from_numpy(bias))
