"""A plan, shown: as the plain-text grid, and as the ``plan`` document."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from regraft.plan.caching import boundary_name, cached_below, keeps
from regraft.plan.cell import Cell
from regraft.plan.count import added, head_parameters, moving_in_phase
from regraft.plan.objective import text_of
from regraft.plan.phase import Phase
from regraft.plan.plan import Plan
from regraft.surgery.specs import edit_json
from regraft.trunk.outline import Outline

SCHEMA = 1
FOLD_ABOVE = 12
"""Grids of more rows than this fold neighbours that are equal throughout."""
GAP = "   "


def grid(plan: Plan, outline: Outline | None = None, *, num_classes: int = 0) -> str:
    """The grid as text: rows from the head down to the stem, one column for each phase, what is cached in the last line.

    With an ``outline``, a line counts what moves (with ``num_classes``, the head included). Objectives stand beside the grid, below it.
    """
    header = ["", *(f"phase {number}: {_title(phase)}" for number, phase in enumerate(plan.phases, 1))]
    body = _folded(
        [[name, *(cell_text(phase.cells[row]) for phase in plan.phases)] for row, name in reversed(list(enumerate(plan.stages)))]
    )
    foot = [["cached below", *(cached_below(plan, at) for at in range(len(plan.phases)))]]
    if outline is not None:
        foot.insert(0, ["parameters", *(f"{sum(moving_in_phase(phase, outline, num_classes)):,}" for phase in plan.phases)])
    beside = [f"beside the task's loss: {', '.join(map(str, plan.objectives))}"] if plan.objectives else []
    return "\n".join([_table(header, body, foot), *beside])


def cell_text(cell: Cell) -> str:
    """``frozen``, ``train 0.70``, ``bias 1.00``, ``lora r8 1.00``, ``lora r8 frozen``, ``train + lora r8 1.00``."""
    what = {"all": "train", "edit": ""}.get(cell.only, cell.only) if cell.trainable else ""
    label = cell.edit.label if cell.edit else ""
    words = " + ".join(word for word in (what, label) if word)
    state = f"{cell.lr_scale:.2f}" if cell.trainable else "frozen"
    return f"{words} {state}".strip()


def document(plan: Plan, outline: Outline, *, num_classes: int = 0) -> dict[str, Any]:
    """The ``plan`` document. In a cell, ``parameters`` move and ``stage_parameters`` are there, the edit's own included."""
    return {
        "schema": SCHEMA,
        "task": plan.task,
        "model": plan.model,
        "strategy": plan.strategy,
        "digest": plan.digest,
        "phases": [_phase(plan, at, outline, num_classes) for at in range(len(plan.phases))],
        "settings": plan.settings.json(),
        "objective": text_of(plan.objectives),
        "reasons": list(plan.reasons),
        "warnings": list(plan.warnings),
        "cost": plan.cost,
    }


def _phase(plan: Plan, at: int, outline: Outline, num_classes: int) -> dict[str, Any]:
    phase = plan.phases[at]
    moving = moving_in_phase(phase, outline, num_classes)
    there = [stage.parameters + added(cell, stage) for stage, cell in zip(outline.stages, phase.cells[:-1], strict=True)]
    there.append(head_parameters(phase, outline, num_classes))
    return {
        "name": phase.name,
        "epochs": 0.0 if phase.solver == "closed_form" else plan.settings.epochs * phase.epochs_fraction,
        "solver": phase.solver,
        "fresh": phase.fresh,
        "boundary": boundary_name(plan, phase),
        "cached": keeps(plan, at),
        "cached_below": cached_below(plan, at),
        "cells": [
            {
                "stage": name,
                "trainable": cell.trainable,
                "lr_scale": cell.lr_scale,
                "edit": edit_json(cell.edit),
                "only": cell.only,
                "parameters": count,
                "stage_parameters": total,
            }
            for name, cell, count, total in zip(plan.stages, phase.cells, moving, there, strict=True)
        ],
    }


def _title(phase: Phase) -> str:
    notes = [note for note, holds in (("solved", phase.solver == "closed_form"), ("from random weights", phase.fresh)) if holds]
    return f"{phase.name} ({', '.join(notes)})" if notes else phase.name


def _folded(rows: list[list[str]]) -> list[list[str]]:
    """Neighbouring rows with equal cells as one, named by the first and the last; the head, on top, stays apart."""
    if len(rows) <= FOLD_ABOVE:
        return rows
    runs = [list(run) for _, run in groupby(rows[1:], key=lambda row: row[1:])]
    return [rows[0], *([_span([row[0] for row in run]), *run[0][1:]] for run in runs)]


def _span(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _table(header: list[str], body: list[list[str]], foot: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in (header, *body, *foot)) for column in range(len(header))]
    lines = [GAP.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in (header, *body, *foot)]
    rule = "-" * (sum(widths) + len(GAP) * (len(widths) - 1))
    return "\n".join([*lines[: 1 + len(body)], rule, *lines[1 + len(body) :]])
