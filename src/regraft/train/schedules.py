"""The learning rate over a phase: a pure function of the step, so that nothing has to be saved."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["cosine", "linear", "constant"]


def factor(step: int, steps: int, *, schedule: Schedule, warmup_fraction: float) -> float:
    """What the peak rate is multiplied by at ``step`` (0 .. steps - 1): above 0, at most 1.

    The warm-up is linear and takes ``warmup_fraction`` of the phase, rounded; the decay ends just above 0, so that
    no step of the phase is wasted.
    """
    warmup = min(round(warmup_fraction * steps), steps - 1)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / (steps - warmup)
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    return 1.0 - progress if schedule == "linear" else 1.0
