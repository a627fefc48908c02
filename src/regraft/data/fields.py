"""The columns of a table as one example: what of a row goes to the text encoder, and what stands beside it as numbers for the head.

    row: note = "late twice"   age = 36              housing = own                 kind of each column
         text                  number                category
           |                     |                      |
    "late twice"            (36 - mean) / std      own 1, rent 0, free 0           -> (c,) float32
                            missing: 0, and a 1 in a column of its own

Mean, spread and values are those of the training split. A row is held as a JSON object in the order of its names, so that the same row has the same digest
whatever the order of the columns in its file. Where no column holds free text the whole row is written out: ``age: 36; housing: own``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import numpy as np

from regraft.data.dataset import Split
from regraft.data.targets.numbers import value_of
from regraft.errors import RequestError, suggest

Kind = Literal["text", "number", "category"]
Row = Mapping[str, str | None]
KINDS: tuple[Kind, ...] = ("text", "number", "category")
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})
"""How a number that is not there is written, in small letters."""
MOST_VALUES = 100
"""Of a categorical column, so many of the most frequent values get a number of their own."""
FACTS = "columns"
"""Under which the facts of a data set hold its fields."""


@final
@dataclass(frozen=True, slots=True)
class Field:
    """One column. Numbers: ``mean`` and ``std`` over train, ``std`` 0 where they do not vary; ``marks``: is there a 1 where the number is missing?
    Categories: their ``values`` in train, none where there are fewer than two; ``others``: how many rarer ones have no place among them."""

    name: str
    kind: Kind
    mean: float = 0.0
    std: float = 0.0
    marks: bool = False
    values: tuple[str, ...] = ()
    others: int = 0

    @property
    def width(self) -> int:
        """Numbers that it gives to the head."""
        return len(self.values) + bool(self.std) + self.marks

    @property
    def is_empty(self) -> bool:
        """Does it say nothing, as it is the same in every training row?"""
        return self.kind != "text" and not self.width

    def numbers(self, cells: Sequence[str | None]) -> np.ndarray:
        """(n, width) float32."""
        if not self.width:
            return np.empty((len(cells), 0), np.float32)
        if self.kind == "category":
            known = {value: place for place, value in enumerate(self.values)}
            places = np.array([known.get((cell or "").strip(), -1) for cell in cells])
            return (places[:, None] == np.arange(len(self.values))).astype(np.float32)
        values = np.array([np.nan if is_missing(cell) else float(cell or "nan") for cell in cells])
        gone = np.isnan(values)
        scaled = [np.where(gone, 0.0, (values - self.mean) / self.std)] if self.std else []
        return np.stack([*scaled, *([gone] if self.marks else [])], 1).astype(np.float32)


@final
@dataclass(frozen=True, slots=True)
class Fields:
    """The columns that a row is read by, in their order."""

    each: tuple[Field, ...]

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Fields:
        """From the facts of a data set; none where these hold none."""
        return cls(tuple(Field(**{**one, "values": tuple(one["values"])}) for one in facts.get(FACTS, ())))

    def json(self) -> list[dict[str, Any]]:
        return [asdict(one) | {"values": list(one.values)} for one in self.each]

    @property
    def width(self) -> int:
        """Numbers that a row gives to the head."""
        return sum(one.width for one in self.each)

    def text(self, row: Row) -> str:
        """What the encoder reads: the one column of free text, or several columns with their names written out."""
        texts = [one.name for one in self.each if one.kind == "text"]
        cells = {name: (row.get(name) or "").strip() for name in texts or [one.name for one in self.each]}
        if len(texts) == 1:
            return cells[texts[0]] or "-"
        return "; ".join(f"{name.replace('_', ' ')}: {cell}" for name, cell in cells.items() if cell) or "-"

    def numbers(self, rows: Sequence[Row]) -> np.ndarray:
        """(n, width) float32 for the head."""
        blocks = [one.numbers([row.get(one.name) for row in rows]) for one in self.each]
        return np.concatenate([np.empty((len(rows), 0), np.float32), *blocks], 1)

    def check(self, rows: Sequence[Row]) -> None:
        """Raises ``RequestError`` where a row lacks a column or has no number where one belongs: rows to be answered, which nobody has looked at yet."""
        for place, row in enumerate(rows, 1):
            absent = [one.name for one in self.each if one.name not in row]
            if absent:
                raise RequestError(
                    f"read row {place}", f"it has no column {absent[0]!r}; it has {', '.join(row) or 'none'}", suggest(absent[0], row)
                )
            if reason := fault(row, {one.name: one.kind for one in self.each}):
                raise RequestError(f"read row {place}", reason, "a number, or nothing where it is missing")


def is_missing(cell: str | None) -> bool:
    """Of a column of numbers."""
    return cell is None or cell.strip().lower() in MISSING


def fault(row: Row, kinds: Mapping[str, Kind]) -> str:
    """Why ``row`` cannot be used, if so: a cell of a column of numbers that is none, or nothing in it at all."""
    for name, kind in kinds.items():
        cell = row.get(name)
        if kind == "number" and not is_missing(cell) and value_of(cell or "") is None:
            return f"column {name!r} holds {cell!r} where numbers are"
    return "" if any((row.get(name) or "").strip() for name in kinds) else "every column is empty"


def learn(rows: Sequence[Row], kinds: Mapping[str, Kind]) -> Fields:
    """The fields of these training ``rows``, which have no fault."""
    return Fields(tuple(_learnt(name, kind, [row.get(name) for row in rows]) for name, kind in kinds.items()))


def _learnt(name: str, kind: Kind, cells: Sequence[str | None]) -> Field:
    if kind == "text":
        return Field(name, kind)
    if kind == "number":
        gone = [is_missing(cell) for cell in cells]
        values = np.array([float(cell or "nan") for cell, is_gone in zip(cells, gone, strict=True) if not is_gone])
        if not len(values):
            return Field(name, kind)
        return Field(name, kind, float(values.mean()), float(values.std()), marks=any(gone))
    counted = Counter((cell or "").strip() for cell in cells)
    kept = tuple(sorted(value for value, _ in counted.most_common(MOST_VALUES)))
    return Field(name, kind, values=kept if len(kept) > 1 else (), others=len(counted) - len(kept))


def held(row: Mapping[str, Any]) -> str:
    """A row as a split holds it. Cells that are no texts are written as such; ``None`` and NaN are missing."""
    cells = {str(name): None if cell is None or cell != cell else str(cell) for name, cell in row.items()}
    return json.dumps(cells, sort_keys=True, ensure_ascii=False)


def row_of(text: str) -> dict[str, str | None]:
    """Back from :func:`held`. Raises ``RequestError`` for a text that is no row."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RequestError(
            f"read {text[:40]!r} as a row of a table", "it is no object of names and values", 'a table, or {"age": 36, "housing": "own"}'
        )
    return found


def rows_of(texts: Iterable[str]) -> list[dict[str, str | None]]:
    return [row_of(text) for text in texts]


def written(row: Row) -> str:
    """A row in words, for people: ``age: 36; housing: own``."""
    return "; ".join(f"{name}: {cell}" for name, cell in row.items() if cell)


def texts_of(split: Split) -> list[str]:
    """What a text model reads of each example of ``split``; parts stay joined."""
    if split.parts != "row":
        return split.inputs
    fields = Fields.of(split.facts)
    return [fields.text(row) for row in rows_of(split.inputs)]
