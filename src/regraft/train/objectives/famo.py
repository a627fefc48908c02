"""``famo(lr=0.025, decay=0.001)``: all losses fall at the same rate (fast adaptive multitask optimisation; Liu, Feng, Stone and Liu 2023, 2306.03792).

    z = softmax(xi);  the network goes down  sum over k of  c z_k log L_k,  c = 1 / sum over k of z_k / L_k
    then the same batch is looked at again, and  xi <- xi - lr (J^T (log L before - log L after) + decay xi),  J the Jacobian of z

by an Adam, as in the authors' code, whose second forward this takes too, with the dropout of the first. No gradient of a task by itself is needed. A task without a target in the
batch is left out of that step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from regraft.train.learned_vector import LearnedVector
from regraft.train.objective import Declared, Start, Term, objective, require
from regraft.train.objectives.several_tasks import names_of, seen
from regraft.train.run import Run

SMALL = 1e-8
"""What a loss is taken to be above 0 by, as in the authors' code."""


@objective
def famo(*, lr: float = 0.025, decay: float = 0.001) -> Declared:
    require(lr > 0, f"famo(lr={lr:g})", "a rate is above 0")
    require(decay >= 0, f"famo(decay={decay:g})", "a decay is not negative")
    return Declared(lambda start: _term(start, lr, decay), passes=1.3, weighs=True)


def _term(start: Start, lr: float, decay: float) -> Term:
    names = names_of(start, "famo")
    logits = LearnedVector(torch.zeros(len(names), dtype=torch.float64, device=start.device), lr=lr, decay=decay)

    def weights(run: Run) -> Tensor:
        return coefficients(logits.values, seen(run).losses())

    def around(run: Run, gradients: Callable[[], Tensor]) -> Tensor:
        seen(run).ahead = True
        return gradients()

    def after_step(run: Run) -> None:
        tasks = seen(run)
        logits.step(pull(logits.values, tasks.losses(), tasks.look()))

    return Term(weights=weights, around=around, after_step=after_step, state=logits.state, load=logits.load)


def coefficients(xi: Tensor, losses: Tensor) -> Tensor:
    """(T,) what each loss counts: c z_k / L_k, which add up to 1; 0 for a task that is not there."""
    shares = torch.softmax(xi, 0) / (losses + SMALL) * (losses > 0)
    return shares / shares.sum().clamp(min=SMALL)


def pull(xi: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """(T,) J^T (log L before - log L after)."""
    fallen = ((before + SMALL).log() - (after + SMALL).log()) * (before > 0)
    z = torch.softmax(xi, 0)
    return z * (fallen - (z * fallen).sum())
