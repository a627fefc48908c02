"""``adapter(width=64, placement=pfeiffer)``: bottlenecks in the stages that were trainable; their base weights stay
(1902.00751, 2005.00247).

The papers put them into blocks. So the stem gets none, and neither does a stage without layers of its own to stand behind.
"""

from __future__ import annotations

from regraft.errors import PlanError
from regraft.plan.columns import stand
from regraft.plan.strategy import Phases, strategy
from regraft.surgery.specs import Adapter, Placement
from regraft.trunk.outline import Outline

STEM = "stem"


@strategy
def adapter(outline: Outline, phases: Phases, *, width: int = 64, placement: Placement = "pfeiffer") -> Phases:
    edit = Adapter(width=width, placement=placement)
    blocks = frozenset(index for index, stage in enumerate(outline.stages) if stage.linears and stage.name.partition(".")[0] != STEM)
    if not blocks:
        raise PlanError(edit.label, f"{outline.reference} has no block with layers that an adapter could stand behind", "full or top(n=1)")
    return stand(phases, edit, blocks, outline=outline)
