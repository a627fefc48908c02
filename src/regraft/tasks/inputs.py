"""Inputs as people give them, and as predictions show them: a text, a path, a pair of texts, the words of a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regraft.data.fields import held, row_of
from regraft.data.turns import written
from regraft.errors import RequestError
from regraft.spec import PART, Form

Input = str | Sequence[str] | Mapping[str, Any]


def given(inputs: Sequence[Input], form: Form) -> list[str]:
    """Each input as a split holds it. A pair is two texts, or one with a tab between them; a sentence is a list of words, or one text that is cut
    at its spaces. Raises ``RequestError`` for what is no such thing."""
    if isinstance(inputs, str):
        raise RequestError(f"predict {inputs[:40]!r}", "one text where a list of them is expected", "predict([...])")
    return [_one(item, form) for item in inputs]


def _one(item: Input, form: Form) -> str:
    if form.parts == "turns":
        return _turns(item)
    if form.parts == "row":
        return held(row_of(item) if isinstance(item, str) else named(item))
    if form.parts == "one":
        if not isinstance(item, str):
            raise RequestError(f"predict {item!r}"[:80], "several texts where one is expected", "one text for each example")
        return item.replace(PART, " ")
    if isinstance(item, Mapping):
        raise RequestError(
            f"predict {item!r}"[:80], "the columns of a row where texts are expected", "a text, or several for a task on parts"
        )
    parts = item.split("\t" if form.parts == "pair" else None) if isinstance(item, str) else [str(part) for part in item]
    if form.parts == "pair" and len(parts) != 2:
        raise RequestError(
            f"predict {item!r}"[:80],
            f"{len(parts)} text(s) where a pair is expected",
            'a pair ("first", "second"), or one text with a tab between',
        )
    parts = [part.replace(PART, " ") for part in parts]
    return PART.join(part if part.strip() else "-" for part in parts) if form.parts == "words" else PART.join(parts)


def _turns(item: Input) -> str:
    """A text is what a person says; a list holds the turns of a conversation, as (role, what was said)."""
    if isinstance(item, str):
        return item if item.startswith('[["') else written([("user", item)])
    turns: Any = item
    return written([(str(role), str(said)) for role, said in turns])


def named(item: Input) -> Mapping[str, Any]:
    """A row as names and values. Raises ``RequestError`` for anything else."""
    if not isinstance(item, Mapping):
        raise RequestError(f"predict {item!r}"[:80], "no names of columns", 'a row as {"age": 36, "housing": "own"}')
    return item


def shown(item: Input) -> Any:
    """An input for a JSON document: itself, its columns by name, or the list of its parts."""
    if isinstance(item, Mapping):
        return dict(item)
    return item.split(PART) if isinstance(item, str) and PART in item else item if isinstance(item, str) else list(item)
