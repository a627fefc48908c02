"""``scratch``: random weights instead of the pretrained ones. The control that tells what pretraining was worth."""

from __future__ import annotations

from dataclasses import replace

from regraft.plan.strategy import Phases, strategy
from regraft.trunk.outline import Outline


@strategy
def scratch(outline: Outline, phases: Phases) -> Phases:
    return tuple(replace(phase, fresh=True) for phase in phases)
