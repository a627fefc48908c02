"""What each of several tasks counted and cost, epoch by epoch: for the report, and for whoever wants to know why one of them fell behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from regraft.train.objective import Start, Term

if TYPE_CHECKING:
    from regraft.train.history import EpochRecord
    from regraft.train.run import Run


class _Course:
    """Sums over the steps of the epoch under way: weights (T,), what the tasks added to the loss (T,), how much of the batches had their targets (T,)."""

    def __init__(self, start: Start) -> None:
        self.names = [member.name for member in start.task.members]
        self.sums = torch.zeros(3, len(self.names), dtype=torch.float64, device=start.device)
        self.steps = 0

    def after_step(self, run: Run) -> None:
        tasks = run.terms.tasks
        if tasks is not None and tasks.weights is not None:
            self.sums = self.sums + torch.stack([tasks.weights.double(), *tasks.shares()])
            self.steps += 1

    def after_epoch(self, run: Run, record: EpochRecord) -> None:
        if not self.steps:
            return
        weights, added, share = self.sums.cpu().numpy()
        costs = [float(a / s) if s else None for a, s in zip(added, share, strict=True)]
        row = {name: {"weight": float(w) / self.steps, "loss": cost} for name, w, cost in zip(self.names, weights, costs, strict=True)}
        run.history.tasks.append({"phase": record.phase, "epoch": record.epoch, "step": record.step, "tasks": row})
        self.sums, self.steps = torch.zeros_like(self.sums), 0

    def state(self) -> dict[str, Any]:
        return {"sums": self.sums, "steps": self.steps}

    def load(self, state: Mapping[str, Any]) -> None:
        self.sums, self.steps = state["sums"].clone().to(self.sums.device), state["steps"]


def course(start: Start) -> Term:
    made = _Course(start)
    return Term(after_step=made.after_step, after_epoch=made.after_epoch, state=made.state, load=made.load)
