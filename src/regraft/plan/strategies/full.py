"""``full``: every parameter trains, at one rate."""

from __future__ import annotations

from regraft.plan.cell import TRAIN
from regraft.plan.columns import over_stages
from regraft.plan.strategy import Phases, strategy
from regraft.trunk.outline import Outline


@strategy
def full(outline: Outline, phases: Phases) -> Phases:
    return over_stages(phases, lambda _index, _cell: TRAIN)
