"""How strong a penalty is: fixed, or led by what an epoch shows. One factor for each row of the grid, 1 at the start.

    drift   a row whose relative distance from its start is above ``target`` is held more, one below it less
    gap     all rows are held more where the loss on valid is above the epoch's mean in training by more than ``target``, else less

A factor changes by ``PACE`` at most in an epoch, and stays within ``MOST`` and its inverse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from regraft.train.history import EpochRecord
from regraft.train.run import Run

Adapt = Literal["none", "drift", "gap"]
PACE = 2.0
MOST = 100.0


class Strength:
    """``anchors``: parameter -> where it started; ``rows``: parameter -> its row of the grid."""

    def __init__(self, adapt: Adapt, target: float, anchors: Mapping[nn.Parameter, Tensor], rows: Mapping[nn.Parameter, int]) -> None:
        self.adapt, self.target, self.anchors, self.rows = adapt, target, anchors, rows
        self.factors = {row: 1.0 for row in sorted(set(rows.values()))}
        self._total, self._steps = torch.zeros((), dtype=torch.float64), 0
        self._penalty: Tensor | None = None

    def costs(self, penalty: Tensor) -> Tensor:
        """Notes ``penalty``, the cost of a step's parameters, as no part of the loss in training."""
        if self._penalty is None:
            self._penalty = penalty.detach()
        return penalty

    def watch(self, run: Run, gradients: Callable[[], Tensor]) -> Tensor:
        """The gradient as ever; its loss is counted towards the epoch's mean."""
        self._penalty = None
        loss = gradients()
        own = loss - (self._penalty / run.ranks.count if self._penalty is not None else 0.0)
        self._total, self._steps = self._total.to(own.device) + own.double(), self._steps + 1
        return loss

    def after_epoch(self, run: Run, record: EpochRecord) -> None:
        gap = self._gap(run, record) if self.adapt == "gap" else None
        for row in self.factors:
            turn = self._turn(row, gap)
            self.factors[row] = min(MOST, max(1 / MOST, self.factors[row] * turn))
        self._total, self._steps = torch.zeros_like(self._total), 0

    def _turn(self, row: int, gap: float | None) -> float:
        if self.adapt == "gap":
            return 1.0 if gap is None else PACE if gap > self.target else 1 / PACE
        drift = self._drift(row)
        return 1.0 if drift is None else min(PACE, max(1 / PACE, drift / self.target))

    def _gap(self, run: Run, record: EpochRecord) -> float | None:
        """``None`` where there is no valid split, or no log loss on it."""
        trained = float(run.ranks.total(self._total)) / max(1, self._steps)
        return record.valid["log_loss"] - trained if "log_loss" in record.valid else None

    @torch.no_grad()
    def _drift(self, row: int) -> float | None:
        """||w - w0|| / ||w0|| of the row."""
        held = [p for p, its in self.rows.items() if its == row and p in self.anchors]
        size = sum(float(self.anchors[p].double().square().sum()) for p in held)
        moved = sum(float((p.double() - self.anchors[p].double()).square().sum()) for p in held)
        return float((moved / size) ** 0.5) if size else None

    def state(self) -> dict[str, Any]:
        return {"factors": dict(self.factors), "total": self._total, "steps": self._steps}

    def load(self, state: Mapping[str, Any]) -> None:
        self.factors, self._total, self._steps = dict(state["factors"]), state["total"].clone(), state["steps"]
