"""Tasks by name: those of the package, then those of installed entry points ``regraft.tasks``."""

from __future__ import annotations

from importlib.metadata import entry_points

from regraft.errors import RequestError, suggest
from regraft.tasks.classification import IMAGE_CLASSIFICATION, TEXT_CLASSIFICATION
from regraft.tasks.task import Task

GROUP = "regraft.tasks"
BUILT_IN = {task.name: task for task in (TEXT_CLASSIFICATION, IMAGE_CLASSIFICATION)}


def names() -> tuple[str, ...]:
    """Every task that can be named, sorted."""
    return tuple(sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))}))


def of(name: str) -> Task:
    """The task called ``name``. An entry point gives a ``Task``; one that takes a built-in name is refused."""
    points = {point.name: point for point in entry_points(group=GROUP)}
    taken = sorted(points.keys() & BUILT_IN.keys())
    if taken:
        raise RequestError(
            f"task {taken[0]!r}", f"{points[taken[0]].value} would replace the built-in one", "register it under another name"
        )
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name not in points:
        raise RequestError(f"task {name!r}", "no task of that name", suggest(name, names()))
    task: Task = points[name].load()
    return task
