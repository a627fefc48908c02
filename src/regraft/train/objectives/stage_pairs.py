"""Pairs of stages, one of the network that learns and one of its teacher: how they are typed, and what the teacher's table must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from regraft.errors import PlanError, suggest
from regraft.train.objective import Ask, Start
from regraft.train.objectives.distill import refuse_mixing

Pairs = tuple[tuple[str, str], ...]
"""(stage of the student, stage of the teacher)."""


def read_pairs(name: str, typed: str | Sequence[str]) -> Pairs:
    """``ours:theirs`` for each pair, as typed behind the objective ``name``. Raises ``PlanError``."""
    found = tuple(_pair(name, str(one)) for one in ((typed,) if isinstance(typed, str) else typed))
    if not found:
        raise PlanError(f"{name}()", "no pair of stages is given", f"{name}(teacher=NAME, pairs=[STUDENT_STAGE:TEACHER_STAGE])")
    return found


def _pair(name: str, text: str) -> tuple[str, str]:
    ours, colon, theirs = (part.strip() for part in text.partition(":"))
    if not colon or not ours or not theirs:
        raise PlanError(f"{name}(pairs=[{text}])", "a pair is of two stages", "pairs=[STUDENT_STAGE:TEACHER_STAGE]")
    return ours, theirs


def theirs_of(pairs: Pairs) -> tuple[str, ...]:
    return tuple(dict.fromkeys(theirs for _, theirs in pairs))


def ours_of(pairs: Pairs) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ours for ours, _ in pairs))


def taught(name: str, start: Start, ask: Ask, pairs: Pairs) -> Mapping[str, Tensor]:
    """Stage of the teacher -> (n, width), a row for each training example. Raises ``PlanError`` for a stage that the network has not."""
    refuse_mixing(start, name)
    stages = start.network.trunk.stage_names
    for ours in ours_of(pairs):
        if ours not in stages:
            raise PlanError(f"{name} from stage {ours!r}", "the network has no such stage", suggest(ours, stages))
    known: Mapping[str, Tensor] = {stage: torch.as_tensor(table) for stage, table in start.brought(ask).items()}
    for stage, table in known.items():
        if len(table) != len(start.train):
            raise PlanError(
                f"{name} from {ask.of!r}", f"{len(table)} rows of {stage} for {len(start.train)} training examples", "one row for each"
            )
    return known
