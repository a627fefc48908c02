"""``norm_only``: the normalisation layers and the head train (Frankle et al. 2020, 2003.00152)."""

from __future__ import annotations

from dataclasses import replace

from regraft.errors import PlanError
from regraft.plan.cell import FROZEN
from regraft.plan.columns import over_stages, resting
from regraft.plan.strategy import Phases, strategy
from regraft.trunk.outline import Outline


@strategy
def norm_only(outline: Outline, phases: Phases) -> Phases:
    has_norm = [stage.norms > 0 for stage in outline.stages]
    if not any(has_norm):
        raise PlanError("norm_only", f"{outline.reference} has no normalisation layers with parameters", "bias_only, top(n=1) or lora")
    fill = lambda index, cell: replace(cell, only="norm", edit=None) if cell.trainable and has_norm[index] else FROZEN  # noqa: E731
    return resting(over_stages(phases, fill), outline)
