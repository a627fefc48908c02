"""``check``: the data doctor, from a reference to its document. It needs no model, so neither torch nor transformers is imported for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from regraft.data import load
from regraft.data.inspect import inspect
from regraft.spec import FORMS

Work = Callable[[str, int, int], None]


def no_work(what: str, done: int, total: int) -> None: ...


def check(
    data: str | Path,
    *,
    task: str | None = None,
    input: str | None = None,
    target: str | None = None,
    deep: bool = True,
    work: Work = no_work,
) -> dict[str, Any]:
    """The data doctor's document on ``data``: counts, splits, and every problem with where it is and what to do."""
    found = load(data, task=_with_form(task), input=input, target=target, allow_rejected=True, progress=work)
    return inspect(found, deep=deep, progress=work)


def _with_form(task: str | None) -> str | tuple[str, Any] | None:
    """The name, with the form of a task that does not come with the package."""
    if task is None or task in FORMS:
        return task
    from regraft import tasks

    return task, tasks.of(task).form
