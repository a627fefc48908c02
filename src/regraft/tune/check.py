"""``check``: the data doctor, from a reference to its document. Without a model neither torch nor transformers is imported for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from regraft.data import load
from regraft.data.inspect import SEVERITIES, Problem, inspect, problem
from regraft.data.load import TaskLike
from regraft.data.vocabulary import Coverage, coverage
from regraft.errors import RequestError
from regraft.plan.surgery import split_model
from regraft.spec import FORMS, Form

Work = Callable[[str, int, int], None]


def no_work(what: str, done: int, total: int) -> None: ...


def check(
    data: str | Path,
    *,
    task: str | None = None,
    input: str | None = None,
    target: str | None = None,
    model: str | None = None,
    deep: bool = True,
    work: Work = no_work,
) -> dict[str, Any]:
    """The data doctor's document on ``data``: counts, splits, and every problem with where it is and what to do. ``model``: a reference; what its
    words cannot read of the texts is a problem too."""
    found = load(data, task=_with_form(task), input=input, target=target, allow_rejected=True, progress=work)
    document = inspect(found, deep=deep, progress=work)
    if model:
        problems = [*document["problems"], *_unread(coverage(found.splits["train"], _tokenizer(model, found.kind)))]
        document["problems"] = sorted(problems, key=lambda one: SEVERITIES.index(one["severity"]))
    return document


def _unread(found: Coverage) -> list[Problem]:
    """What the model does not know of the training texts."""
    if not found.missing:
        return []
    advice = f"{found}: other vectors, or another model, may read more" if found.is_poor else str(found)
    return [problem("unknown_words", "warning" if found.is_poor else "note", "train", found.missing.total(), advice)]


def _tokenizer(model: str, kind: str) -> Any:
    from regraft.trunk import load as models

    tokenizer = models.load(split_model(model)[0]).tokenizer
    if tokenizer is None or kind != "text":
        raise RequestError(f"check what {model} can read", f"the data is {kind}" if tokenizer else "it takes no text",
                           "leave out --model, which is for texts and what has not been seen of them")  # fmt: skip
    return tokenizer


def _with_form(task: str | None) -> TaskLike | None:
    """The name, with the form of a task that does not come with the package, or (``first,second``) several of them, each with its form."""
    if task is None or task in FORMS:
        return task
    named = tuple((name, FORMS[name] if name in FORMS else _form(name)) for name in map(str.strip, task.split(",")))
    return named if len(named) > 1 else named[0]


def _form(name: str) -> Form:
    from regraft import tasks

    return tasks.of(name).form
