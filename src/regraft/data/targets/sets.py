"""Any number of labels for each example, written in one cell: ``joy|love``, ``joy; love``, ``joy, love`` or ``["joy", "love"]``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from regraft.data import arrays, arrow
from regraft.data.examples import Examples
from regraft.data.names import in_order
from regraft.data.split import training_rows
from regraft.data.targets.reader import Learnt, Read, Reader, some, taken
from regraft.data.unknown import reason, refusal
from regraft.errors import DataError

MARKS = ("|", ";", ",")
JSON = "json"
SHARED = {"|": 0.5, ";": 0.9, ",": 0.9}
"""Parts of a cell count as labels of their own where at least so many of them stand in other cells too; names with bars in them are rare."""


def labels_of(cell: str, separator: str) -> list[str]:
    """The labels in one cell, without blanks."""
    if separator == JSON:
        parts = [str(part) for part in json.loads(cell)] if cell.strip() else []
    else:
        parts = cell.split(separator) if separator else [cell]
    return [part.strip() for part in parts if part.strip()]


def separator_of(cells: Iterable[str]) -> str:
    """What stands between the labels of one cell; empty where every cell holds one label at most."""
    known = [cell.strip() for cell in dict.fromkeys(cells) if cell.strip()]
    if known and all(cell.startswith("[") and cell.endswith("]") for cell in known):
        return JSON
    return next((mark for mark in MARKS if any(mark in cell for cell in known)), "")


def is_set(cells: Sequence[str]) -> bool:
    """Do these cells hold several labels? JSON lists do; another separator may be part of a name: the parts must come back in other cells."""
    times = Counter(cell for cell in cells if cell.strip())
    separator = separator_of(times)
    try:
        split = {cell: labels_of(cell, separator) for cell in times} if separator else {}
    except ValueError:
        return False
    several = {cell: parts for cell, parts in split.items() if len(parts) > 1}
    seen = Counter(part for parts in split.values() for part in set(parts))
    parted = sum(times[cell] * len(parts) for cell, parts in several.items())
    shared = sum(times[cell] * sum(seen[part] > 1 for part in parts) for cell, parts in several.items())
    return bool(several) and (separator == JSON or shared >= SHARED[separator] * parted)


def learn(found: Examples, sides: np.ndarray, reference: str) -> Learnt:
    """``facts["separator"]``: what stands between labels. Raises ``DataError`` where there is nothing to tell apart."""
    rows = training_rows(sides, reference)
    separator = separator_of(found.labels)
    codes = np.unique(arrow.numbers(found.table.column("target"))[rows])
    names = tuple(in_order({label for code in codes for label in _labels(found.labels[code], separator, reference)}))
    if not names:
        raise DataError(f"read the labels of {reference}", "no training example has a label", "--target names another column")
    between = {"": "one label a row", JSON: "a JSON list of labels a row"}.get(separator, f"labels with {separator!r} between them")
    return Learnt(names, {"separator": separator}, (f"The target is a set: {between}, {len(names)} labels in all.",))


def read(found: Examples, sides: np.ndarray, learnt: Learnt, reference: str, allow_unknown: bool) -> Read:
    """A label that train does not have is an error, or (``allow_unknown``) its row is listed."""
    known = {name: index for index, name in enumerate(learnt.classes)}
    values, faults = [], []
    for cell in found.labels:
        labels = _labels(cell, learnt.facts["separator"], reference)
        unknown = [label for label in labels if label not in known]
        row = np.zeros(len(known), np.float32)
        row[[known[label] for label in labels if label in known]] = 1.0
        values.append(row.tolist())
        faults.append(reason("label", unknown[0], learnt.owner) if unknown else "")
    if any(faults) and not allow_unknown:
        absent = sorted({label for cell in found.labels for label in _labels(cell, learnt.facts["separator"], reference)} - known.keys())
        raise refusal(reference, learnt.owner, "labels", some(absent), whole="set of labels")
    return taken(found, sides, values, faults=faults, kind=arrays.set_of(len(known)))


def _labels(cell: str, separator: str, reference: str) -> list[str]:
    try:
        return labels_of(cell, separator)
    except ValueError as error:
        raise DataError(
            f"read the labels of {reference}", f"{cell[:60]!r} is no JSON list: {error}", "write every cell the same way"
        ) from None


READER = Reader(learn=learn, read=read, may_be_blank=True)
