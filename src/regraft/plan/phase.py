"""A phase: a span of training in which nothing in the plan changes; one column of the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from regraft.plan.cell import Cell

Solver = Literal["gradient", "closed_form"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """``cells``: one for each stage of the trunk from the door up, then one for the head.

    ``epochs_fraction``: this phase's share of the plan's epochs; the shares of a plan add up to 1 over its gradient phases.
    ``solver``: "gradient" for the loop; "closed_form" where only a linear head on pooled features is trained, which is
    solved by L-BFGS to its optimum and takes no epochs.
    ``fresh``: the trunk starts from random weights instead of the pretrained ones (the control ``scratch``).
    ``live``: why what lies below the boundary is computed in every pass though it could be kept; "" where it is kept.
    """

    name: str
    cells: tuple[Cell, ...]
    epochs_fraction: float = 1.0
    solver: Solver = "gradient"
    lr_scale: float = 1.0
    fresh: bool = False
    live: str = ""

    @property
    def boundary(self) -> int:
        """Index of the first stage that moves, or that an edit stands in; the head's index where only the head moves."""
        moving = [index for index, cell in enumerate(self.cells) if cell.trainable or cell.edit is not None]
        return moving[0] if moving else len(self.cells)

    def with_cells(self, cells: tuple[Cell, ...]) -> Phase:
        return replace(self, cells=cells)

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "cells": [cell.json() for cell in self.cells],
            "epochs_fraction": self.epochs_fraction,
            "solver": self.solver,
            "lr_scale": self.lr_scale,
            "fresh": self.fresh,
            "live": self.live,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Phase:
        return cls(**{**document, "cells": tuple(Cell.from_json(cell) for cell in document["cells"])})


def last_by_gradient(phases: Sequence[Phase]) -> int:
    """Index of the last of ``phases`` that takes epochs; -1 where there is none."""
    return max((index for index, phase in enumerate(phases) if phase.solver == "gradient"), default=-1)
