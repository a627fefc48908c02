"""Which part of a phase can be computed once: a fact of the grid and of the settings, never a choice of the strategy."""

from __future__ import annotations

from regraft.plan.phase import Phase
from regraft.plan.plan import Plan

NOTHING = "nothing"


def why_not(plan: Plan, phase: Phase) -> str:
    """Why no activations of ``phase`` are kept; "" where they are."""
    if phase.boundary == 0:
        return f"{plan.stages[0]} moves"
    if not plan.settings.cache:
        return "the cache is off"
    if phase.live:
        return phase.live
    random = [name for name, value in plan.settings.augment if value is not False]
    if random and phase.solver == "gradient" and not plan.settings.cache_views:
        return f"random {', '.join(random)} below it"
    return ""


def boundary_name(plan: Plan, phase: Phase) -> str:
    """The lowest row in which ``phase`` moves or edits anything; "" where there is none."""
    return plan.stages[phase.boundary] if phase.boundary < len(plan.stages) else ""


def is_cached(plan: Plan, phase: Phase) -> bool:
    return not why_not(plan, phase)


def num_views(plan: Plan, phase: Phase) -> int:
    """How many random views of each training example are kept: 1 where nothing is random."""
    random = phase.solver == "gradient" and any(value is not False for _, value in plan.settings.augment)
    return max(1, plan.settings.cache_views) if random else 1


def cached_below(plan: Plan, phase: Phase) -> str:
    """The name of the row below which all is computed once, or why nothing is: the grid's last line."""
    if phase.boundary == 0:
        return NOTHING
    reason = why_not(plan, phase)
    if reason:
        return f"{NOTHING}: {reason}"
    views = num_views(plan, phase)
    return plan.stages[phase.boundary] + (f" ({views} views)" if views > 1 else "")
