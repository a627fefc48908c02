"""A head solved to its optimum on pooled features, linear or made of statistics: no epochs, no rate, no early stopping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.cache.pooled import linear_features, pooled_features
from regraft.data.digests import Digests
from regraft.data.encode import Encoded
from regraft.errors import PlanError
from regraft.evaluate import sums as additive
from regraft.surgery.statistics import StatisticsHead
from regraft.train.placed import placed_features
from regraft.train.run import Run

if TYPE_CHECKING:
    from regraft.cache.store import Cache

RESTRAINT = 100.0
"""A head that is tuned further is held back: one that fits every example already should leave the trunk little gradient to learn from.
The strength is a guess from few trials, which differ in more than this (benchmarks/RESULTS.md)."""
MIDWAY = 0.5
"""How far a head that was trained moves towards the solved one. Which of the two is right more often differs from run to run; the mean of both is no worse than
either (held-back examples of clinc150, benchmarks/RESULTS.md), and needs no examples to choose by."""


def keys_of(digests: Sequence[str]) -> NDArray[np.uint64]:
    """(n,) the first 8 bytes of each example's digest."""
    return Digests.of(digests).keys


def sum_up(head: StatisticsHead, run: Run, train: Encoded, cache: Cache | None) -> None:
    """Make a head of statistics from all of ``train``. Features are in fp32 on every machine: these sums are added to later."""
    features = pooled_features(run.network, train, cache=cache)
    sums = additive.Sums.of(features, train.targets, keys_of(train.digests), lift=head.lifted, num_classes=head.linear.out_features,
                         means=head.spec.how == "means")  # fmt: skip
    found = additive.solve(sums)
    head.take(found.weights, found.strength)


def solve(run: Run, train: Encoded, cache: Cache | None) -> None:
    """Write the best linear layer over all of ``train`` (a held-back one, where training goes on) into ``network.head.linear``; one that was trained before moves
    half-way there.

    The features are computed once, or read where ``cache`` has them, in eval mode and without augmentation, in the run's precision.
    """
    head = run.network.head
    if isinstance(head, StatisticsHead):
        return sum_up(head, run, train, cache)
    layer = getattr(head, "linear", None)
    if not isinstance(layer, torch.nn.Linear) or run.task.solve is None or not getattr(head, "is_linear", True):
        raise PlanError(f"solve phase {run.present.name!r} in closed form", f"the head of {run.task.name} is a {type(head).__name__}",
                        "a strategy that trains it by gradient, such as full or top(n=0)")  # fmt: skip
    if hasattr(head, "pool"):
        features, targets = linear_features(run.network, train, cache=cache, compute=run.precision.compute), train.targets
    else:
        features, targets = placed_features(run, train)
    goes_on = any(phase.solver == "gradient" for phase in run.plan.phases[run.phase + 1 :])
    restraint = RESTRAINT if goes_on else 1.0
    weights, bias = run.task.solve(features, targets, num_outputs=layer.out_features, seed=run.settings.seed, restraint=restraint)
    share = MIDWAY if 0 <= run.plan.last_by_gradient < run.phase else 1.0
    with torch.no_grad():
        layer.weight.lerp_(torch.from_numpy(weights).to(layer.weight), share)
        if layer.bias is not None:
            layer.bias.lerp_(torch.from_numpy(bias).to(layer.bias), share)
