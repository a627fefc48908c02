"""Several targets for each example, one for each task. One may be missing: such an example teaches the other tasks alone.

cells of a row, joined by ``spec.PART`` --> each column read by the reader of its own form --> a row of numbers

    class, level   index of the class      number   itself      set   1 or 0 for each label      missing   NaN
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from regraft.data import arrays, arrow
from regraft.data.examples import Examples
from regraft.data.targets import classes, levels, numbers, sets
from regraft.data.targets.reader import Learnt, Read, Reader
from regraft.errors import DataError
from regraft.spec import PART, Target

BESIDE: dict[Target, Reader] = {"class": classes.READER, "level": levels.READER, "number": numbers.READER, "set": sets.READER}
"""Forms of targets that may stand beside others: one answer for the whole example."""


@dataclass(frozen=True, slots=True)
class Column:
    """A target column, the task that it teaches, and the form of its targets."""

    name: str
    task: str
    target: Target


def reader(columns: Sequence[Column]) -> Reader:
    """Raises ``DataError`` for targets that have places (tags, masks)."""
    for column in columns:
        if column.target not in BESIDE:
            raise DataError(f"learn {column.name!r} beside other tasks", f"its targets are {column.target}, which have a place of their own in each example",
                            "regraft tune for that task alone")  # fmt: skip
    return Reader(learn=partial(_learn, columns), read=partial(_read, columns))


def widths(tasks: Sequence[Mapping[str, Any]], targets: Sequence[Target]) -> list[int]:
    """How many numbers of a row belong to each task of ``facts["tasks"]``."""
    return [len(task["classes"]) if target == "set" else 1 for task, target in zip(tasks, targets, strict=True)]


def blocks(sizes: Sequence[int]) -> list[slice]:
    """One after the other."""
    ends = np.cumsum([0, *sizes]).tolist()
    return [slice(low, high) for low, high in pairwise(ends)]


def _learn(columns: Sequence[Column], found: Examples, sides: np.ndarray, reference: str) -> Learnt:
    """``classes``: the names of the tasks. ``facts["tasks"]``: for each ``{name, task, classes, facts}``, as its own reader learnt them."""
    tasks, said = [], []
    for place, column in enumerate(columns):
        rows, own = _own(found, place)
        if not len(rows):
            raise DataError(f"read {column.name!r} of {reference}", "no example has a target there", "--target without that column")
        learnt = BESIDE[column.target].learn(own, sides[rows], f"{reference}, column {column.name!r}")
        tasks.append(
            {"name": column.name, "column": column.name, "task": column.task, "classes": list(learnt.classes), "facts": dict(learnt.facts)}
        )
        missing = found.table.num_rows - len(rows)
        without = f"; {missing:,} examples have no such target and teach the others" if missing else ""
        said.append(f"{column.name!r} is the target of {column.task}{without}.")
    return Learnt(tuple(column.name for column in columns), {"tasks": tasks}, tuple(said))


def _read(columns: Sequence[Column], found: Examples, sides: np.ndarray, learnt: Learnt, reference: str, allow_unknown: bool) -> Read:
    """An example of which one target cannot be read is listed, and not used for the others either."""
    tasks = learnt.facts["tasks"]
    places = blocks(widths(tasks, [column.target for column in columns]))
    values = np.full((found.table.num_rows, places[-1].stop), np.nan, np.float32)
    usable, strata, rejected = np.ones(len(values), bool), np.zeros(len(values), np.int64), {}
    for place, (column, task) in enumerate(zip(columns, tasks, strict=True)):
        rows, own = _own(found, place)
        part = Learnt(tuple(task["classes"]), task["facts"], owner=learnt.owner)
        read = BESIDE[column.target].read(own, sides[rows], part, f"{reference}, column {column.name!r}", allow_unknown)
        values[rows, places[place]] = _numbers(read, places[place])
        usable[rows[read.strata < 0]] = False
        rejected.update({item.where: replace(item, reason=f"{column.name}: {item.reason}") for item in read.rejected})
        if column.target == "class" and not strata.any():
            strata[rows] = read.strata + 1
    strata = np.where(usable, strata, -1)
    column = pa.FixedSizeListArray.from_arrays(arrow.array(values.reshape(-1), pa.float32()), values.shape[1], mask=arrow.array(~usable))
    return Read(column, strata, list(rejected.values()))


def _own(found: Examples, place: int) -> tuple[np.ndarray, Examples]:
    """The rows that have a target in this column, and the examples as a reader of that column alone sees them."""
    cells = [label.split(PART)[place] for label in found.labels]
    known: dict[str, int] = {}
    of_label = np.array([known.setdefault(cell, len(known)) if cell.strip() else -1 for cell in cells], np.int64)
    codes = of_label[arrow.numbers(found.table.column("target"))]
    rows = np.flatnonzero(codes >= 0)
    table = found.table.take(arrow.array(rows))
    table = table.set_column(table.column_names.index("target"), "target", arrow.array(codes[rows]))
    return rows, replace(found, table=table, labels=list(known), rejected=[])


def _numbers(read: Read, block: slice) -> np.ndarray:
    """(m, width) of what was read; NaN where it could not be."""
    held = pa.chunked_array([read.column])
    if pa.types.is_fixed_size_list(read.column.type):
        return arrays.of_column(held).reshape(-1, block.stop - block.start)
    return np.asarray(held.cast(pa.float32()).to_numpy(), np.float32).reshape(-1, 1)
