"""What strategies share: how a column of the grid is gone over.

A strategy transforms each phase so far, and leaves alone those that a closed form solves (in them nothing but the head moves).
So ``a + b`` reads from left to right: ``freeze(below=blocks.3) + lora`` edits the stages that the first left trainable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from regraft.errors import PlanError
from regraft.plan.cell import FROZEN, TRAIN, Cell
from regraft.plan.phase import Phase
from regraft.surgery.specs import Edit
from regraft.trunk.outline import Outline

HEAD = "head"


def row_names(outline: Outline) -> tuple[str, ...]:
    """The grid's rows from the door to the top: the stages, then the head."""
    return (*outline.stage_names, HEAD)


def over_stages(phases: tuple[Phase, ...], change: Callable[[int, Cell], Cell]) -> tuple[Phase, ...]:
    """``change(index, cell)`` for every stage of the trunk in every gradient phase; the head keeps its cell."""
    return tuple(phase if phase.solver == "closed_form" else _changed(phase, change) for phase in phases)


def _changed(phase: Phase, change: Callable[[int, Cell], Cell]) -> Phase:
    *stages, head = phase.cells
    return phase.with_cells((*(change(index, cell) for index, cell in enumerate(stages)), head))


def keep_trainable(phases: tuple[Phase, ...], chosen: frozenset[int]) -> tuple[Phase, ...]:
    """Freeze every stage that is not ``chosen``; a frozen stage carries no edit."""
    return over_stages(phases, lambda index, cell: cell if index in chosen else FROZEN)


def stand(
    phases: tuple[Phase, ...], edit: Edit, chosen: frozenset[int], *, outline: Outline, whole: Mapping[int, float] | None = None
) -> tuple[Phase, ...]:
    """``edit`` in those trainable stages that are ``chosen``, and it alone moves there; every other stage is frozen, and so is a head that is pretrained.

    ``whole``: stages that go on as they would without an edit, at so many times their rate.
    """
    beside = whole or {}

    def fill(index: int, cell: Cell) -> Cell:
        if cell.trainable and index in beside:
            return replace(cell, lr_scale=cell.lr_scale * beside[index])
        return replace(cell, edit=edit, only="edit") if cell.trainable and index in chosen else FROZEN

    filled = resting(over_stages(phases, fill), outline)
    trained = any(cell.trainable for phase in phases for cell in phase.cells[:-1])
    if trained and not any(cell.edit for phase in filled for cell in phase.cells):
        raise PlanError(f"{edit.label} in the stages that train so far", "none of them has a layer that it could stand over",
                        "choose other stages before it, or other layers (where=...)")  # fmt: skip
    return filled


def resting(phases: tuple[Phase, ...], outline: Outline) -> tuple[Phase, ...]:
    """``phases`` with a head that is the host's own, and pretrained as the stages are, frozen as they are where little of them moves."""
    if outline.own_head == "none":
        return phases
    return tuple(phase.with_cells((*phase.cells[:-1], FROZEN)) for phase in phases)


def distance(outline: Outline, index: int) -> int:
    """Steps from the head, whose own distance is 0, down to stage ``index``."""
    return len(outline.stages) - index


def probe(outline: Outline, phases: tuple[Phase, ...]) -> Phase:
    """The head alone on frozen, pooled features, solved to its optimum; of random weights, where ``phases`` start from such."""
    cells = (*(FROZEN,) * len(outline.stages), TRAIN)
    return Phase(name="probe", cells=cells, epochs_fraction=0.0, solver="closed_form", fresh=any(phase.fresh for phase in phases))


def shared_out(phase: Phase, columns: list[tuple[str, tuple[Cell, ...]]]) -> tuple[Phase, ...]:
    """Put ``columns`` (name, cells) in the place of ``phase``: equal shares of its epochs."""
    share = phase.epochs_fraction / len(columns)
    return tuple(replace(phase, name=name, cells=cells, epochs_fraction=share) for name, cells in columns)
