"""``gradnorm(alpha=1.5, lr=0.025)``: weights under which the tasks pull equally hard on what they share, those that lag behind harder (Chen et al. 2017, 1711.02257).

    G_k = || d(w_k L_k) / dW ||, W the last shared stage that trains;  r_k = (L_k / L_k(0)) / mean over tasks of it
    minimised in w:  sum over k of | G_k - mean(G) r_k^alpha |, the right-hand side held fixed; then w is scaled to add up to the number of tasks

by an Adam of its own. The norms are those of the true gradients, of the whole batch in however many parts. Where only the heads train there is nothing shared to pull on, and the
weights stay; so they do for a batch in which a task has no target. A weight does not fall below ``LEAST``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from regraft.train.learned_vector import LearnedVector
from regraft.train.objective import Declared, Seen, Start, Term, objective, require
from regraft.train.objectives.several_tasks import names_of, seen
from regraft.train.objectives.task_gradients import TaskGradients
from regraft.train.run import Run

LEAST = 1e-4


@objective
def gradnorm(*, alpha: float = 1.5, lr: float = 0.025) -> Declared:
    require(alpha >= 0, f"gradnorm(alpha={alpha:g})", "alpha is not negative")
    require(lr > 0, f"gradnorm(lr={lr:g})", "a rate is above 0")
    return Declared(lambda start: _GradNorm(start, alpha, lr).term(), passes=1.2, weighs=True)


class _GradNorm:
    """``first`` (T,): the losses of the first batch, once it has been."""

    def __init__(self, start: Start, alpha: float, lr: float) -> None:
        self.names, self.alpha = names_of(start, "gradnorm"), alpha
        self.learned = LearnedVector(torch.ones(len(self.names), dtype=torch.float64, device=start.device), lr=lr)
        self.first = torch.zeros(0, dtype=torch.float64, device=start.device)
        self.gradients = TaskGradients(len(self.names))

    def term(self) -> Term:
        return Term(
            weights=lambda run: self.learned.values, shares=self.shares, around=self.around, after_step=self.after_step, state=self.state, load=self.load
        )  # fmt: skip

    def around(self, run: Run, gradients: Callable[[], Tensor]) -> Tensor:
        self.gradients.start(last_shared(run))
        return gradients()

    def shares(self, shown: Seen) -> Tensor:
        assert shown.each is not None
        self.gradients.add(shown.each, count=seen(shown.run).count)
        return torch.zeros_like(shown.each[:, 0])

    def after_step(self, run: Run) -> None:
        losses, norms = seen(run).means(), self.gradients.norms(run).double()
        self.gradients.forget()
        if not len(self.first) and bool((losses > 0).all()):
            self.first = losses
        if len(norms) and len(self.first) and bool((losses > 0).all()):
            self.learned.step(descent(self.learned.values, norms, losses / self.first, self.alpha))
            kept = self.learned.values.clamp(min=LEAST)
            self.learned.set(len(kept) * kept / kept.sum())

    def state(self) -> dict[str, Any]:
        return {"learned": self.learned.state(), "first": self.first}

    def load(self, state: Mapping[str, Any]) -> None:
        self.learned.load(state["learned"])
        self.first = state["first"].clone().to(self.first.device)


def descent(weights: Tensor, norms: Tensor, ratios: Tensor, alpha: float) -> Tensor:
    """(T,) the derivative of sum |G_k - target_k| by the weights: ``norms`` of the gradients of the losses, unweighted; ``ratios`` L_k / L_k(0)."""
    pulls = weights * norms
    target = pulls.mean() * (ratios / ratios.mean()) ** alpha
    return torch.sign(pulls - target) * norms


def last_shared(run: Run) -> list[nn.Parameter]:
    """What trains in the highest stage of the trunk in which anything does."""
    head = len(run.network.trunk.stages)
    below = [one for one in run.chosen if one.stage < head]
    top = max((one.stage for one in below), default=-1)
    return [one.parameter for one in below if one.stage == top]
