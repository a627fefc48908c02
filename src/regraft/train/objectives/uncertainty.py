"""``uncertainty(lr=0.01)``: each task is weighed by how noisy its targets are found to be (Kendall, Gal and Cipolla 2017, 1705.07115).

    sum over tasks of  loss / (2 sigma^2) + log sigma  for numbers,  loss / sigma^2 + log sigma  for the others

with sigma learned beside the network as s = log sigma^2, by an Adam of its own; all start at sigma = 1. An example without a task's target says nothing of its noise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from regraft.train.learned_vector import LearnedVector
from regraft.train.objective import Declared, Seen, Start, Term, objective, require
from regraft.train.objectives.several_tasks import names_of, seen
from regraft.train.run import Run


@objective
def uncertainty(*, lr: float = 0.01) -> Declared:
    require(lr > 0, f"uncertainty(lr={lr:g})", "a rate is above 0")
    return Declared(lambda start: _term(start, lr), weighs=True)


def _term(start: Start, lr: float) -> Term:
    names = names_of(start, "uncertainty")
    halves = torch.tensor(
        [0.5 if member.task.form.target == "number" else 1.0 for member in start.task.members], dtype=torch.float64, device=start.device
    )
    logs = LearnedVector(torch.zeros(len(names), dtype=torch.float64, device=start.device), lr=lr)

    def weights(run: Run) -> Tensor:
        return halves * (-logs.values).exp()

    def shares(shown: Seen) -> Tensor:
        """log sigma of the tasks that an example teaches: part of the loss, though none of the network's gradient."""
        present = shown.run.task.present(shown.part.targets)
        return (present.double() @ logs.values / 2).float()

    def after_step(run: Run) -> None:
        added, share = seen(run).shares()
        logs.step(share / 2 - weights(run) * added)

    return Term(weights=weights, shares=shares, after_step=after_step, state=logs.state, load=logs.load)
