"""``dwa(temperature=2)``: a task whose loss falls slowly counts more (dynamic weight average; Liu, Johns and Davison 2018, 1803.10704).

    weight of task k in epoch e = T * softmax over k of (L_k(e-1) / L_k(e-2)) / temperature

with L_k the epoch's mean loss and T the number of tasks; in the first two epochs all count 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from regraft.train.history import EpochRecord
from regraft.train.objective import Declared, Start, Term, objective, require
from regraft.train.objectives.several_tasks import names_of, seen
from regraft.train.run import Run


@objective
def dwa(*, temperature: float = 2.0) -> Declared:
    require(temperature > 0, f"dwa(temperature={temperature:g})", "a temperature is above 0")
    return Declared(lambda start: _Average(start, temperature).term(), weighs=True)


class _Average:
    """``sums`` (2, T): of the epoch under way, losses and how much of the batches had targets; ``past`` (epochs, T): mean losses of the last two."""

    def __init__(self, start: Start, temperature: float) -> None:
        self.count, self.temperature = len(names_of(start, "dwa")), temperature
        self.sums = torch.zeros(2, self.count, dtype=torch.float64, device=start.device)
        self.past = torch.zeros(0, self.count, dtype=torch.float64, device=start.device)

    def term(self) -> Term:
        return Term(weights=self.weights, after_step=self.after_step, after_epoch=self.after_epoch, state=self.state, load=self.load)

    def weights(self, run: Run) -> Tensor:
        if len(self.past) < 2:
            return torch.ones_like(self.sums[0])
        return self.count * torch.softmax(self.past[-1] / self.past[-2] / self.temperature, 0)

    def after_step(self, run: Run) -> None:
        self.sums = self.sums + torch.stack(seen(run).shares())

    def after_epoch(self, run: Run, record: EpochRecord) -> None:
        """An epoch in which a task was not seen at all, or cost nothing, says nothing about the pace of any."""
        added, share = self.sums
        if bool((added > 0).all()):
            self.past = torch.cat([self.past, (added / share)[None]])[-2:]
        self.sums = torch.zeros_like(self.sums)

    def state(self) -> dict[str, Any]:
        return {"sums": self.sums, "past": self.past}

    def load(self, state: Mapping[str, Any]) -> None:
        self.sums, self.past = (state[name].clone().to(self.sums.device) for name in ("sums", "past"))
