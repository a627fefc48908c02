"""Tasks by name: those of the package, then those of installed entry points ``regraft.tasks``."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from regraft.errors import RequestError, suggest
from regraft.tasks.classification import AUDIO_CLASSIFICATION, IMAGE_CLASSIFICATION, TEXT_CLASSIFICATION, TEXT_PAIR_CLASSIFICATION
from regraft.tasks.language import CAUSAL_LANGUAGE_MODEL
from regraft.tasks.multilabel import IMAGE_MULTILABEL, TEXT_MULTILABEL
from regraft.tasks.ordinal import IMAGE_ORDINAL, TEXT_ORDINAL
from regraft.tasks.preference import PREFERENCE
from regraft.tasks.regression import IMAGE_REGRESSION, TEXT_PAIR_REGRESSION, TEXT_REGRESSION
from regraft.tasks.segmentation import SEMANTIC_SEGMENTATION
from regraft.tasks.several import several
from regraft.tasks.speech import SPEECH_RECOGNITION
from regraft.tasks.task import Task
from regraft.tasks.text_table import TEXT_TABLE_CLASSIFICATION, TEXT_TABLE_REGRESSION
from regraft.tasks.tokens import TOKEN_CLASSIFICATION

GROUP = "regraft.tasks"
BUILT_IN = {
    task.name: task
    for task in (
        TEXT_CLASSIFICATION, IMAGE_CLASSIFICATION, AUDIO_CLASSIFICATION, TEXT_PAIR_CLASSIFICATION,
        TEXT_REGRESSION, IMAGE_REGRESSION, TEXT_PAIR_REGRESSION, TEXT_ORDINAL, IMAGE_ORDINAL,
        TEXT_MULTILABEL, IMAGE_MULTILABEL, TOKEN_CLASSIFICATION, SEMANTIC_SEGMENTATION, SPEECH_RECOGNITION,
        TEXT_TABLE_CLASSIFICATION, TEXT_TABLE_REGRESSION,
        CAUSAL_LANGUAGE_MODEL, PREFERENCE,
    )
}  # fmt: skip


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
        return BUILT_IN[name]
    if name not in points:
        raise RequestError(f"task {name!r}", "no task of that name", suggest(name, names()))
    task: Task = points[name].load()
    return task


SEVERAL = ("text-multitask", "text-pair-multitask", "image-multitask", "audio-multitask")
BUILT_IN.update({name: several(name, of) for name in SEVERAL})
"""Several tasks as one; each finds its members by their names."""
