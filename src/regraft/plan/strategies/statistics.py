"""``statistics(width=4000, how=ridge)``: the trunk as it is, and a head that is sums over examples (RanPAC, 2307.02251).

A ridge solution on random features, or class means (``how=means``). What is added later (``regraft grow``) is added exactly, in any
order, and can be taken away again as if it had never been there.
"""

from __future__ import annotations

from typing import Literal

from regraft.plan.cell import FROZEN, Cell
from regraft.plan.phase import Phase
from regraft.plan.strategy import Phases, strategy
from regraft.surgery.specs import Statistics
from regraft.trunk.outline import Outline


@strategy
def statistics(outline: Outline, phases: Phases, *, width: int = 4000, how: Literal["ridge", "means"] = "ridge") -> Phases:
    head = Cell(trainable=True, edit=Statistics(width=width, how=how))
    cells = (*(FROZEN,) * len(outline.stages), head)
    fresh = any(phase.fresh for phase in phases)
    return (Phase(name="statistics", cells=cells, epochs_fraction=0.0, solver="closed_form", fresh=fresh),)
