"""Tasks by name: those of the package, then those of installed entry points ``regraft.tasks``."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from regraft.errors import RequestError, suggest
from regraft.tasks.task import Task

GROUP = "regraft.tasks"
FILES = {
    "classification": ("text-classification", "image-classification", "audio-classification", "text-pair-classification"),
    "language": ("causal-language-model",),
    "multilabel": ("text-multilabel", "image-multilabel"),
    "ordinal": ("text-ordinal", "image-ordinal"),
    "preference": ("preference",),
    "regression": ("text-regression", "image-regression", "text-pair-regression"),
    "segmentation": ("semantic-segmentation",),
    "several": ("text-multitask", "text-pair-multitask", "image-multitask", "audio-multitask"),
    "speech": ("speech-recognition",),
    "text_table": ("text-table-classification", "text-table-regression"),
    "tokens": ("token-classification",),
}
"""Of this room -> the tasks in it, read when one is asked for; each stands there under its name in capitals."""
BUILT_IN = {name: file for file, names in FILES.items() for name in names}


@cache
def installed() -> dict[str, EntryPoint]:
    """Looked up once: it reads the metadata of every package that is installed."""
    return {point.name: point for point in entry_points(group=GROUP)}


def names() -> tuple[str, ...]:
    """Every task that can be named, sorted."""
    return tuple(sorted({*BUILT_IN, *installed()}))


def of(name: str) -> Task:
    """The task called ``name``. An entry point gives a ``Task``; one that takes a built-in name is refused."""
    points = installed()
    taken = sorted(points.keys() & BUILT_IN.keys())
    if taken:
        raise RequestError(
            f"task {taken[0]!r}", f"{points[taken[0]].value} would replace the built-in one", "register it under another name"
        )
    if name in BUILT_IN:
        return _built_in(name)
    if name not in points:
        raise RequestError(f"task {name!r}", "no task of that name", suggest(name, names()))
    task: Task = points[name].load()
    return task


@cache
def _built_in(name: str) -> Task:
    file = import_module(f"regraft.tasks.{BUILT_IN[name]}")
    if BUILT_IN[name] == "several":  # each finds its members by their names
        return file.several(name, of)
    task: Task = getattr(file, name.upper().replace("-", "_"))
    return task
