"""Bootstrap intervals: how far a number would move if the same number of examples were drawn again.

A statistic is given as sums over examples, so that a resample costs one ``bincount`` rather than a call of a metric:
1,000 resamples of 3,080 examples in 77 classes take well under a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from regraft.spec import Metric

NUM_RESAMPLES = 1000
LEVEL = 0.95
CHUNK = 1 << 22
"""Drawn row numbers that are held at once: 32 MB."""

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Statistic = Callable[[Rows], Array]
"""(r, n) row numbers -> (r,) or (r, m) values, one for each resample."""


def tally(groups: NDArray[np.integer], num_groups: int, rows: Rows, weights: Array | None = None) -> Array:
    """(r, num_groups): for each of the r resamples the count, or the summed ``weights``, of its examples by group."""
    num_resamples = len(rows)
    cells = groups[rows] + num_groups * np.arange(num_resamples)[:, None]
    drawn = None if weights is None else weights[rows].ravel()
    return np.bincount(cells.ravel(), drawn, num_groups * num_resamples).reshape(num_resamples, num_groups).astype(float)


def resamples(num_examples: int, *, seed: int, num_resamples: int = NUM_RESAMPLES) -> Iterator[Rows]:
    """Row numbers (r, n) drawn with replacement, in chunks that fit the memory; the same for the same seed."""
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // max(num_examples, 1))
    for start in range(0, num_resamples, step):
        yield rng.integers(num_examples, size=(min(step, num_resamples - start), num_examples))


def interval(value: float, draws: Array, num_examples: int, *, bounds: tuple[float, float] | None = None) -> Metric:
    """The 95% interval of ``value`` from its resampled ``draws``, shifted so that the draws are centred on it.

    The shift removes what resampling adds by itself (a calibration error only grows, a macro F1 only shrinks).
    Where all draws agree at an end of ``bounds`` (everything right, or nothing), the bootstrap knows nothing; the exact
    binomial bound for n successes out of n stands in (Clopper and Pearson 1934).
    """
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, (tail, 1 - tail)) - (draws.mean() - value)
    low, high = min(float(low), value), max(float(high), value)
    if bounds is None:
        return Metric(value, low, high, num_examples)
    if low == high and value in bounds:
        span = bounds[1] - bounds[0] if np.isfinite(bounds[1]) else 1.0
        width = span * (1 - tail ** (1 / num_examples))
        low, high = (value - width, value) if value == bounds[1] else (value, value + width)
    return Metric(value, max(low, bounds[0]), min(high, bounds[1]), num_examples)


def accuracy(correct: NDArray[np.bool_], *, seed: int = 0) -> Metric:
    """The share of ``correct`` (n,) with its interval, without a table of probabilities: one binomial draw is a resample."""
    return _share(len(correct), int(np.count_nonzero(correct)), seed)


@lru_cache(maxsize=1 << 12)
def _share(n: int, right: int, seed: int) -> Metric:
    """Remembered: of many classes of one size, many have the same number right."""
    value = right / n
    draws = np.random.default_rng(seed).binomial(n, value, size=NUM_RESAMPLES) / n
    return interval(value, draws, n, bounds=(0.0, 1.0))
