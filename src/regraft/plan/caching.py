"""Which part of a phase can be computed once: a fact of the grid and of the settings, never a choice of the strategy."""

from __future__ import annotations

from regraft.plan.phase import Phase
from regraft.plan.plan import Plan

NOTHING, ONCE = "nothing", "it is read only once"


def why_not(plan: Plan, phase: Phase) -> str:
    """Why no activations of ``phase`` can be kept; "" where they can."""
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
    """Can the frozen part be computed once? Whether it is worth keeping, ``keeps`` says."""
    return not why_not(plan, phase)


def num_views(plan: Plan, phase: Phase) -> int:
    """How many random views of each training example are kept: 1 where nothing is random."""
    random = phase.solver == "gradient" and any(value is not False for _, value in plan.settings.augment)
    return max(1, plan.settings.cache_views) if random else 1


def shared(plan: Plan, at: int) -> tuple[int, ...]:
    """Phases whose frozen parts one pass over the data, at the start of phase ``at``, can capture together: that phase and every later
    one below whose boundary nothing moves, and no edit comes or goes, until it begins. Gradual unfreezing walks down: one pass serves all its phases."""
    first = plan.phases[at]
    found, low = [], first.boundary
    for index in range(at, len(plan.phases)):
        phase = plan.phases[index]
        same = _fixed_views(plan, phase) == _fixed_views(plan, first) and _edits(phase) == _edits(first)
        if phase.boundary <= low and same and is_cached(plan, phase):
            found.append(index)
        low = min(low, phase.boundary)
    return tuple(found)


def is_kept(plan: Plan, at: int) -> bool:
    """Are the entries of phase ``at`` read more than once, by it or together with phases that share the pass? A fact of the plan alone, so
    that a resumed run decides as the first one did."""
    leaders = (first for first in range(at + 1) if is_cached(plan, plan.phases[first]))
    return any(at in group and sum(_passes(plan, index) for index in group) > 1 for group in (shared(plan, first) for first in leaders))


def keeps(plan: Plan, at: int) -> bool:
    """Does phase ``at`` read its frozen part from the cache? The pooled features that a head is solved on are kept for the next run as well."""
    return is_cached(plan, plan.phases[at]) and (plan.phases[at].solver == "closed_form" or is_kept(plan, at))


def computed_from(plan: Plan, at: int) -> int:
    """The stage from which the frozen part of phase ``at`` is computed: 0 from the inputs; its boundary where an earlier pass brought all."""
    phase, found = plan.phases[at], 0
    for first in range(at):
        earlier = plan.phases[first]
        if not is_cached(plan, earlier) or _fixed_views(plan, earlier) != _fixed_views(plan, phase):
            continue
        if at in shared(plan, first):
            return phase.boundary
        untouched = min(other.boundary for other in plan.phases[first:at])
        found = max(
            found, *(low for low in (plan.phases[i].boundary for i in shared(plan, first)) if low <= min(untouched, phase.boundary)), 0
        )
    return found


def _passes(plan: Plan, index: int) -> float:
    phase = plan.phases[index]
    return 1.0 if phase.solver == "closed_form" else plan.settings.epochs * phase.epochs_fraction


def _fixed_views(plan: Plan, phase: Phase) -> int:
    """Random views that are kept; 0 where the examples are taken as they are."""
    random = phase.solver == "gradient" and any(value is not False for _, value in plan.settings.augment)
    return plan.settings.cache_views if random else 0


def _edits(phase: Phase) -> tuple[object, ...]:
    return tuple(cell.edit for cell in phase.cells)


def cached_below(plan: Plan, at: int) -> str:
    """The name of the row below which all of phase ``at`` is computed once, or why nothing is: the grid's last line."""
    phase = plan.phases[at]
    if phase.boundary == 0:
        return NOTHING
    if reason := why_not(plan, phase):
        return f"{NOTHING}: {reason}"
    if not keeps(plan, at):
        return f"{NOTHING}: {ONCE}"
    views = num_views(plan, phase)
    return plan.stages[phase.boundary] + (f" ({views} views)" if views > 1 else "")
