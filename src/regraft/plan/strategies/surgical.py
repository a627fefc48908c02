"""``surgical(stages=blocks.0)``: just these stages and the head train (Lee et al. 2022, 2210.11466).

Low stages answer a shift of the input (noise, style), high ones a shift of the labels.
"""

from __future__ import annotations

from collections.abc import Sequence

from regraft.plan.columns import keep_trainable
from regraft.plan.strategy import Phases, strategy
from regraft.trunk.outline import Outline
from regraft.trunk.select import select_stages


@strategy
def surgical(outline: Outline, phases: Phases, *, stages: str | int | Sequence[str]) -> Phases:
    """``stages``: a selection as in ``trunk.select``: names, indices, ranges, lists."""
    return keep_trainable(phases, frozenset(select_stages(outline.stage_names, stages)))
