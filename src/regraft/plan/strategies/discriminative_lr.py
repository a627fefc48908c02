"""``discriminative_lr(decay=0.8)``: the rate falls by ``decay`` from each stage to the one below it (ULMFiT, 1801.06146; layer-wise
decay in BEiT, 2106.08254). The head keeps 1, the last stage has ``decay``, the one below it ``decay`` squared."""

from __future__ import annotations

from dataclasses import replace

from regraft.errors import PlanError
from regraft.plan.columns import distance, over_stages
from regraft.plan.strategy import Phases, strategy
from regraft.trunk.outline import Outline


@strategy
def discriminative_lr(outline: Outline, phases: Phases, *, decay: float = 0.8) -> Phases:
    if not 0 < decay <= 1:
        raise PlanError(f"discriminative_lr(decay={decay})", "decay lies above 0 and at most at 1", "discriminative_lr(decay=0.8)")
    return over_stages(
        phases, lambda index, cell: replace(cell, lr_scale=cell.lr_scale * decay ** distance(outline, index)) if cell.trainable else cell
    )
