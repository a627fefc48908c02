"""``freeze(below=blocks.3)``: everything under that stage stays as it is; the stage itself and all above it go on as planned."""

from __future__ import annotations

from regraft.plan.columns import keep_trainable, row_names
from regraft.plan.strategy import Phases, strategy
from regraft.trunk.outline import Outline
from regraft.trunk.select import select_stages


@strategy
def freeze(outline: Outline, phases: Phases, *, below: str | int) -> Phases:
    """``below``: a stage by name or index, or ``head``; a name that stands for several means the lowest of them."""
    boundary = select_stages(row_names(outline), below)[0]
    return keep_trainable(phases, frozenset(range(boundary, len(outline.stages))))
