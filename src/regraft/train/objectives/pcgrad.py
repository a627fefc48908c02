"""``pcgrad``: where the gradients of two tasks point against each other, each loses what goes against the other (gradient surgery; Yu et al. 2020, 2001.06782).

    for each task i, for the others j in random order:  if g_i . g_j < 0:  g_i <- g_i - (g_i . g_j / ||g_j||^2) g_j   (g_j as it came);  the sum over i moves the network

on all that the tasks share and that trains; a head has only its own task's gradient. It takes a backward pass for each task. What other objectives weigh, it leaves weighed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from regraft.train.objective import Declared, Seen, Start, Term, objective
from regraft.train.objectives.several_tasks import names_of, seen
from regraft.train.objectives.task_gradients import TaskGradients
from regraft.train.run import Run
from regraft.train.seeding import seed_of


@objective
def pcgrad() -> Declared:
    return Declared(_term, passes=2, weighs=True)


def _term(start: Start) -> Term:
    gradients = TaskGradients(len(names_of(start, "pcgrad")))

    def shares(shown: Seen) -> Tensor:
        assert shown.each is not None and shown.weights is not None
        gradients.add(shown.each * shown.weights, count=seen(shown.run).count)
        return torch.zeros_like(shown.each[:, 0])

    def around(run: Run, make: Callable[[], Tensor]) -> Tensor:
        head = len(run.network.trunk.stages)
        gradients.start([one.parameter for one in run.chosen if one.stage < head])
        loss = make()
        if gradients.rows.shape[1]:
            _correct(run, gradients)
        gradients.forget()
        return loss

    return Term(shares=shares, around=around)


def projected(rows: Tensor, order: np.random.Generator) -> Tensor:
    """(P,) the sum of the gradients ``rows`` (T, P), each without what goes against another one."""
    total = torch.zeros_like(rows[0])
    for place, own in enumerate(rows):
        kept = own.clone()
        for other in order.permutation([index for index in range(len(rows)) if index != place]).tolist():
            against = kept @ rows[other]
            if against < 0:
                kept -= against / rows[other].square().sum() * rows[other]
        total += kept
    return total


@torch.no_grad()
def _correct(run: Run, gradients: TaskGradients) -> None:
    """The sum that the backward pass has left, changed into the sum after surgery; what else there is in the gradient stays."""
    rows = run.ranks.total(gradients.rows)
    order = np.random.default_rng(seed_of(run.settings.seed, "pcgrad", run.phase, run.step))
    change = projected(rows, order) - rows.sum(0)
    scale = run.precision.scaler.get_scale() if run.precision.scaler else 1.0
    for parameter, part in zip(gradients.shared, change.split([p.numel() for p in gradients.shared]), strict=True):
        added = scale * part.view_as(parameter)
        parameter.grad = added if parameter.grad is None else parameter.grad + added
