"""A number for each example. Training sees it in units of the training split's spread, so that no scale has to be chosen."""

from __future__ import annotations

import math
import re

import numpy as np

from regraft.data import arrays, arrow
from regraft.data.examples import Examples
from regraft.data.split import training_rows
from regraft.data.targets.reader import Learnt, Read, Reader, some, taken
from regraft.errors import DataError

DECIMAL_COMMA = re.compile(r"^\s*[-+]?\d+,\d+\s*$")
NAME = "value"
MOST_TEXTS = 0.5
"""From this share of labels that are no numbers on, the column is one of texts and not a faulty one of numbers."""


def value_of(label: str) -> float | None:
    """The finite number that ``label`` writes, if it is one."""
    try:
        value = float(label)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def learn(found: Examples, sides: np.ndarray, reference: str) -> Learnt:
    """``facts``: ``mean`` and ``std`` over train. Raises ``DataError`` for targets that are texts, or all the same."""
    rows = training_rows(sides, reference)
    values = np.array([math.nan if (value := value_of(label)) is None else value for label in found.labels])
    train = values[arrow.numbers(found.table.column("target"))[rows]]
    texts = [label for label, value in zip(found.labels, values, strict=True) if math.isnan(value)]
    if np.isnan(train).mean() > MOST_TEXTS or np.isnan(train).all():
        raise DataError(f"read numbers from {reference}", f"targets that are texts: {some(texts)}", _advice(texts))
    train = train[~np.isnan(train)]
    mean, std = float(train.mean()), float(train.std())
    if std == 0.0:
        raise DataError(f"read numbers from {reference}", f"every target is {mean:g}", "--target names another column")
    said = f"The target is a number: {train.min():g} to {train.max():g} in train, mean {mean:.4g}."
    return Learnt((NAME,), {"mean": mean, "std": std}, (said,))


def read(found: Examples, sides: np.ndarray, learnt: Learnt, reference: str, allow_unknown: bool) -> Read:
    values = [value_of(label) for label in found.labels]
    faults = ["" if value is not None else f"target {label!r} is no number" for label, value in zip(found.labels, values, strict=True)]
    return taken(found, sides, values, faults=faults, kind=arrays.NUMBER)


def _advice(texts: list[str]) -> str:
    if all(DECIMAL_COMMA.match(text) for text in texts):
        return "write decimals with a point: 3.5, not 3,5"
    return "name a column of numbers with --target; for texts as targets: --task text-classification (or image-classification)"


READER = Reader(learn=learn, read=read)
