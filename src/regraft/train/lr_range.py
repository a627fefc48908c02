"""The learning-rate range test (Smith 2015, 1506.01186): a short run in which the rate grows until the loss does.

loss  ----___
             \\__          _/
                \\___  ___/
                    \\/  lowest; a tenth of this rate is suggested
      1e-7 ------------------------- 1
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regraft.errors import TrainingDiverged
from regraft.plan.plan import Plan
from regraft.train import step
from regraft.train.course import Course
from regraft.train.feed import LiveFeed
from regraft.train.restored import restored
from regraft.train.run import Run
from regraft.train.seeding import seed_of
from regraft.train.terms import Terms
from regraft.train.transition import remove_edits
from regraft.trunk.network import Network

SPANS = {"adamw": (1e-6, 1.0), "sgd": (1e-5, 10.0)}
STEPS = 80
SMOOTHING = 0.9
BLOWN_UP = 4.0


@dataclass(frozen=True, slots=True)
class LrRange:
    """``suggested``: rate of a cell with scale 1. ``curve``: (rate, smoothed loss) of each step."""

    suggested: float
    curve: tuple[tuple[float, float], ...]


def find(network: Network, plan: Plan, task: Any, data: Mapping[str, Any], *, steps: int = STEPS) -> LrRange:
    """Test the rates for the plan's last gradient phase, in which most moves; the network is afterwards what it was. ``data`` as for ``fit``.

    Raises ``TrainingDiverged`` where the loss is not finite even at the lowest rate.
    """
    train = data["train"]
    assert train is not None
    index = max(i for i, phase in enumerate(plan.phases) if phase.solver == "gradient")
    run = Run.of(network, plan, task, phase=index)
    moving = [i for i, cell in enumerate(run.present.cells) if cell.trainable or cell.edit is not None]
    run.terms = Terms.begin(run, train, data.get("asked") or {})
    with restored(network, moving, terms=run.terms):
        try:
            run.enter(steps)
            curve = _sweep(run, Course.of(plan, index, train), LiveFeed(network=network, encoded=train, device=run.device))
        finally:
            remove_edits(network, run.standing)
    if not curve:
        raise TrainingDiverged(
            "a range test of the learning rate", "the loss is not finite at the lowest rate", "look at the data: regraft check DATA"
        )
    lowest = min(curve, key=lambda point: point[1])
    scale = run.present.lr_scale
    return LrRange(lowest[0] / 10 / scale, tuple((rate / scale, loss) for rate, loss in curve))


def _sweep(run: Run, course: Course, feed: LiveFeed) -> list[tuple[float, float]]:
    """(rate, smoothed loss) until the loss has blown up or the rates are through."""
    low, high = SPANS[run.settings.optimizer]
    mean, best = 0.0, math.inf
    curve: list[tuple[float, float]] = []
    for index in range(run.steps):
        run.step = index
        rows = course.rows(run.step)
        seed = seed_of(run.settings.seed, "range", run.step)
        loss = step.gradients(run, feed, feed.parts(rows, size=run.micro_batch, seed=seed, epoch=0), count=len(rows)).item()
        step.clip(run)
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smooth = mean / (1 - SMOOTHING ** (run.step + 1))
        if not math.isfinite(loss) or smooth > BLOWN_UP * best:
            break
        best = min(best, smooth)
        rate = low * (high / low) ** (run.step / (run.steps - 1))
        curve.append((rate, smooth))
        step.update(run, rate)
    return curve
