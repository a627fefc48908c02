"""What the data doctor finds in the columns of rows: empty ones, missing numbers, values that train does not have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from regraft.data import duplicates
from regraft.data.dataset import Dataset
from regraft.data.fields import Field, Fields, is_missing, rows_of

SHOWN = 5
Problem = dict[str, Any]


def problems(dataset: Dataset) -> list[Problem]:
    """Column by column, then split by split."""
    rows = {name: rows_of(split.inputs) for name, split in dataset.splits.items()}
    found = []
    for one in Fields.of(dataset.facts).each:
        cells = {name: [row.get(one.name) for row in some] for name, some in rows.items()}
        found += [*_empty(one, cells.get("train", [])), *_missing(one, cells), *_unknown(one, cells)]
    return found


def groups(dataset: Dataset) -> duplicates.Groups:
    """Equal rows. Rows that are nearly equal are no near duplicates: a number may be all that differs between two people."""
    return duplicates.of_equal(np.concatenate([split.digests.keys for split in dataset.splits.values()]))


def _empty(one: Field, cells: list[str | None]) -> Iterator[Problem]:
    if not one.is_empty:
        return
    is_blank = all(is_missing(cell) for cell in cells)
    advice = "it is empty in every training row" if is_blank else "it is the same in every training row"
    yield _problem(
        "empty_column" if is_blank else "constant_column",
        "warning",
        f"train: {one.name}",
        len(cells),
        f"{advice} and says nothing: leave it out",
    )


def _missing(one: Field, cells: dict[str, list[str | None]]) -> Iterator[Problem]:
    if one.kind != "number" or one.is_empty:
        return
    for name, some in cells.items():
        count = sum(map(is_missing, some))
        if count and one.marks:
            yield _problem(
                "missing_numbers", "note", f"{name}: {one.name}", count, "the mean of train stands in, and the head is told that it does"
            )
        elif count:
            advice = "the mean of train stands in, and as train has none missing the head is not told"
            yield _problem("missing_numbers", "warning", f"{name}: {one.name}", count, advice)


def _unknown(one: Field, cells: dict[str, list[str | None]]) -> Iterator[Problem]:
    if not one.values:
        return
    for name, some in cells.items():
        counts = Counter((cell or "").strip() for cell in some)
        new = {value: count for value, count in counts.items() if value not in one.values}
        if not new:
            continue
        listed = ", ".join(repr(value) for value in list(new)[:SHOWN]) + (", ..." if len(new) > SHOWN else "")
        kind, why = (
            ("rare_values", "are not among its most frequent ones")
            if name == "train"
            else ("unknown_values", "are none that the model learns of train")
        )
        advice = f"{listed} {why}: such a row is read as if nothing stood there"
        yield _problem(kind, "note" if name == "train" else "warning", f"{name}: {one.name}", sum(new.values()), advice)


def _problem(kind: str, severity: str, where: str, count: int, advice: str) -> Problem:
    return {"kind": kind, "severity": severity, "where": where, "count": int(count), "advice": advice}
