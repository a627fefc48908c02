"""Counting a cell: how many numbers move in it."""

from __future__ import annotations

from collections.abc import Callable

from regraft.plan.cell import Cell
from regraft.plan.phase import Phase
from regraft.surgery.specs import Statistics
from regraft.trunk.outline import Outline, StageOutline
from regraft.trunk.select import select_modules


def added(cell: Cell, stage: StageOutline) -> int:
    """Parameters that the cell's edit brings."""
    return 0 if cell.edit is None else cell.edit.added_parameters(_edited_layers(cell, stage))


def moving(cell: Cell, stage: StageOutline) -> int:
    """Parameters that move in ``cell``."""
    return COUNTS[cell.only](cell, stage) if cell.trainable else 0


def head_parameters(phase: Phase, outline: Outline, num_classes: int) -> int:
    """Of the head that stands in ``phase``: weights and biases of a linear one, or what a decoder or a head of sums holds; the host's own has no biases, and no weights
    where its table is the stem's."""
    edit = phase.cells[-1].edit
    if outline.own_head != "none":
        return outline.width * num_classes if outline.own_head == "untied" else 0
    if outline.decoder is not None:
        return outline.decoder.parameters
    return edit.head_parameters(outline.width, num_classes) if isinstance(edit, Statistics) else (outline.width + 1) * num_classes


def moving_in_phase(phase: Phase, outline: Outline, num_classes: int) -> tuple[int, ...]:
    """For every row of the grid, the head last, how many parameters move."""
    stages = (moving(cell, stage) for cell, stage in zip(phase.cells[:-1], outline.stages, strict=True))
    return (*stages, head_parameters(phase, outline, num_classes) if phase.cells[-1].trainable else 0)


def _edited_layers(cell: Cell, stage: StageOutline) -> tuple[tuple[str, int, int], ...]:
    where = getattr(cell.edit, "where", None)
    if where is None:
        return stage.linears
    chosen = set(select_modules([path for path, _, _ in stage.linears], where))
    return tuple(layer for layer in stage.linears if layer[0] in chosen)


COUNTS: dict[str, Callable[[Cell, StageOutline], int]] = {
    "all": lambda cell, stage: stage.parameters + added(cell, stage),
    "bias": lambda cell, stage: stage.biases,
    "norm": lambda cell, stage: stage.norms,
    "edit": added,
}
