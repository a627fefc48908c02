"""Objectives that are for several tasks at once: what they need, and what they refuse."""

from __future__ import annotations

from regraft.errors import PlanError
from regraft.train.objective import Start
from regraft.train.run import Run
from regraft.train.task_losses import TaskLosses


def names_of(start: Start, objective: str) -> list[str]:
    """The names of the tasks. Raises ``PlanError`` where there is one alone."""
    if len(start.task.members) < 2:
        raise PlanError(
            f"{objective} on {start.task.name}", "one task, and nothing to weigh it against", "several targets: --target first,second"
        )
    return [member.name for member in start.task.members]


def seen(run: Run) -> TaskLosses:
    """What the tasks cost in the batch of the step under way."""
    tasks = run.terms.tasks
    assert tasks is not None, "several tasks, but no step is under way"
    return tasks
