"""``lp_ft``: probe first, then what was planned so far (Kumar et al. 2022, 2202.10054).

A head that fits before the trunk moves spares the trunk the large, misleading gradients of a random one.
"""

from __future__ import annotations

from regraft.plan.columns import probe
from regraft.plan.strategy import Phases, strategy
from regraft.trunk.outline import Outline


@strategy
def lp_ft(outline: Outline, phases: Phases) -> Phases:
    return (probe(outline, phases), *(phase for phase in phases if phase.solver == "gradient"))
