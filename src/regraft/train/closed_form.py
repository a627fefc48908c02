"""A linear head solved to its optimum on pooled features: no epochs, no rate, no early stopping."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from regraft.cache.pooled import pooled_features
from regraft.data.encode import Encoded
from regraft.errors import PlanError
from regraft.evaluate import linear
from regraft.train.run import Run

if TYPE_CHECKING:
    from regraft.cache.store import Cache

RESTRAINT = 100.0
"""A head that is tuned further is held back: one that fits every example already should leave the trunk little gradient to learn from.
The strength is a guess from few trials, which differ in more than this (benchmarks/RESULTS.md)."""


def solve(run: Run, train: Encoded, cache: Cache | None) -> None:
    """Write the best linear layer over all of ``train`` (a held-back one, where training goes on) into ``network.head.linear``.

    The features are computed once, or read where ``cache`` has them, in eval mode and without augmentation, in the run's precision.
    """
    head = run.network.head
    layer = getattr(head, "linear", None)
    if not isinstance(layer, torch.nn.Linear) or not hasattr(head, "pool"):
        raise PlanError(f"solve phase {run.present.name!r} in closed form", f"the head is a {type(head).__name__}",
                        "a linear head, or a strategy that trains it by gradient")  # fmt: skip
    features = pooled_features(run.network, train, cache=cache, compute=run.precision.compute)
    goes_on = any(phase.solver == "gradient" for phase in run.plan.phases[run.phase + 1 :])
    found = linear.fit(
        features, train.targets, num_classes=layer.out_features, seed=run.settings.seed, restraint=RESTRAINT if goes_on else 1.0
    )
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(found.weights))
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(found.bias))
