"""``bias_only``: the biases and the head train (BitFit, 2106.10199)."""

from __future__ import annotations

from dataclasses import replace

from regraft.errors import PlanError
from regraft.plan.cell import FROZEN
from regraft.plan.columns import over_stages, resting
from regraft.plan.strategy import Phases, strategy
from regraft.trunk.outline import Outline


@strategy
def bias_only(outline: Outline, phases: Phases) -> Phases:
    has_bias = [stage.biases > 0 for stage in outline.stages]
    if not any(has_bias):
        raise PlanError("bias_only", f"{outline.reference} has no biases", "norm_only, top(n=1) or lora")
    fill = lambda index, cell: replace(cell, only="bias", edit=None) if cell.trainable and has_bias[index] else FROZEN  # noqa: E731
    return resting(over_stages(phases, fill), outline)
