"""A few texts that stand for all of a split: as many short and long ones among them as there are in it."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from regraft.data import arrow
from regraft.data.dataset import Split


def spread(split: Split, count: int) -> Split:
    """At most ``count`` rows, in their order: every so many-th when they are sorted by length in bytes. What is a mean over rows and grows with their
    length, as the number of tokens does, is within a few thousandths of that over all of them."""
    return split if len(split) <= count else split.take(rows_of(split, count))


def rows_of(split: Split, count: int) -> NDArray[np.intp]:
    order = np.argsort(arrow.numbers(pc.binary_length(split.table.column("input"))), kind="stable")
    middles = (np.arange(count) + 0.5) * len(order) / count
    return np.sort(order[middles.astype(np.intp)])
