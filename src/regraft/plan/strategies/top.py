"""``top(n=2)``: the last n stages and the head train; 0 leaves the head alone."""

from __future__ import annotations

from regraft.errors import PlanError
from regraft.plan.columns import keep_trainable
from regraft.plan.strategy import Phases, strategy
from regraft.trunk.outline import Outline


@strategy
def top(outline: Outline, phases: Phases, *, n: int = 1) -> Phases:
    length = len(outline.stages)
    if not (isinstance(n, int) and 0 <= n <= length):
        raise PlanError(f"top(n={n})", f"the trunk has {length} stages: {', '.join(outline.stage_names)}", f"top(n=...) from 0 to {length}")
    return keep_trainable(phases, frozenset(range(length - n, length)))
