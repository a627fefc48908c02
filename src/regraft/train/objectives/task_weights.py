"""``task_weights(entailment=1, relatedness=0.5)``: what the loss of each task counts, as given; a task that is not named counts 1.

A weight is a number, or an expression in ``t``, which goes from 0 at the first step of the run to 1 at the last (``train.expression``):

    task_weights(entailment=linear(1, 0.2), relatedness=cosine(0, 1))      alpha schedules
    task_weights(relatedness=0 if t < 0.5 else 1)                          one task first, then both
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from regraft.errors import PlanError, suggest
from regraft.train.course import Course
from regraft.train.expression import Expression
from regraft.train.objective import Declared, Start, Term, objective
from regraft.train.objectives.several_tasks import names_of
from regraft.train.run import Run


@objective
def task_weights(**weights: Any) -> Declared:
    if not weights:
        raise PlanError("task_weights()", "no task is named", "task_weights(TASK=0.5), or leave it out: all tasks count the same")
    made = {name: Expression.of(value, f"task_weights({name}={value})") for name, value in weights.items()}
    if all(not any(one(t / 4) for t in range(5)) for one in made.values()) and len(made) > 1:
        raise PlanError(
            f"task_weights({', '.join(f'{name}={one.text}' for name, one in made.items())})", "no task counts anything", "a weight above 0"
        )
    return Declared(lambda start: _term(start, made), weighs=True)


def _term(start: Start, made: dict[str, Expression]) -> Term:
    names = names_of(start, "task_weights")
    if unknown := [name for name in made if name not in names]:
        raise PlanError(f"task_weights({unknown[0]}=...)", f"no such task; there are {', '.join(names)}", suggest(unknown[0], names))
    steps = [Course.of(start.plan, index, start.train).steps for index in range(len(start.plan.phases))]
    before = [0, *accumulate(steps)]

    def weights(run: Run) -> Tensor:
        t = min(1.0, (before[run.phase] + run.step) / max(1, before[-1] - 1))
        return torch.tensor([made[name](t) if name in made else 1.0 for name in names], device=run.device)

    return Term(weights=weights)
