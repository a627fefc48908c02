"""``gradual_unfreezing(every=1, decay=1.0)``: the head first, then one group of stages more in each phase (ULMFiT, 1801.06146).

Each gradient phase so far is split: the stages that train in it are let go from the top down, ``every`` at a time, in phases of
equal length, the last of which is the whole phase as it was. Stages that were frozen stay so. ``decay`` is ``discriminative_lr``.
"""

from __future__ import annotations

from regraft.errors import PlanError
from regraft.plan.cell import FROZEN
from regraft.plan.columns import row_names, shared_out
from regraft.plan.phase import Phase
from regraft.plan.strategies.discriminative_lr import discriminative_lr
from regraft.plan.strategy import Phases, strategy
from regraft.trunk.outline import Outline


@strategy
def gradual_unfreezing(outline: Outline, phases: Phases, *, every: int = 1, decay: float = 1.0) -> Phases:
    if not (isinstance(every, int) and every >= 1):
        raise PlanError(f"gradual_unfreezing(every={every})", "every counts stages, from 1", "gradual_unfreezing(every=1)")
    split = tuple(part for phase in phases for part in _split(outline, phase, every))
    return split if decay == 1.0 else discriminative_lr(decay=decay).fill(outline, split)


def _split(outline: Outline, phase: Phase, every: int) -> Phases:
    moving = [index for index, cell in enumerate(phase.cells[:-1]) if cell.trainable]
    if phase.solver == "closed_form" or not moving:
        return (phase,)
    starts = moving[::-1][every - 1 :: every]
    untaught = outline.lowest_fresh  # what starts from random weights trains from the first phase, as the head does
    lows = dict.fromkeys(min(low, untaught) for low in (len(outline.stages), *starts) if min(low, untaught) != moving[0])
    names = row_names(outline)
    columns = [(names[low], tuple(cell if index >= low else FROZEN for index, cell in enumerate(phase.cells))) for low in lows]
    return shared_out(phase, [*columns, (phase.name, phase.cells)])
