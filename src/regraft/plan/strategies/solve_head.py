"""``solve_head``: what was planned so far, then the head solved on the features that came of it (cRT; Kang et al. 2020, 1910.09217).

A trunk is tuned in few passes; a head that learned beside it, under other rates, replays and penalties than its own, is seldom at its optimum.
It ends midway between as it was trained and as it is solved.
"""

from __future__ import annotations

from dataclasses import replace

from regraft.plan.columns import probe
from regraft.plan.strategy import Phases, strategy
from regraft.trunk.outline import Outline


@strategy
def solve_head(outline: Outline, phases: Phases) -> Phases:
    return (*phases, replace(probe(outline, phases), name="solved"))
