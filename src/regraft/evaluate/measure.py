"""Metrics from statistics: the value on all examples, and the interval from a thousand resamples of them. Every task's metrics pass here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from regraft.errors import RequestError
from regraft.evaluate.bootstrap import Array, Rows, Statistic, interval, resamples
from regraft.spec import Metric

Statistics = Mapping[str, Statistic]
"""Metric name -> how to compute it for any draw of the examples."""

UNIT = (0.0, 1.0)
BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "exact_match", "mean_average_precision"), UNIT),
    **dict.fromkeys(("entity_f1", "entity_precision", "entity_recall", "mean_iou", "pixel_accuracy"), UNIT),
    "preference_accuracy": UNIT,
    "perplexity": (1.0, float("inf")),
    **dict.fromkeys(("spearman", "pearson"), (-1.0, 1.0)),
    **dict.fromkeys(("wer", "cer"), (0.0, float("inf"))),
}
"""Where a metric cannot go beyond; those that are not here have no such ends that an interval could reach."""


def measured(statistics: Statistics, num_examples: int, *, seed: int = 0) -> dict[str, Metric]:
    """Each statistic with its 95% interval. Raises ``RequestError`` where there is nothing to measure."""
    if not num_examples:
        raise RequestError("measure 0 examples", "the split is empty", "a split that holds at least one example")
    names = list(statistics)
    values = values_of(statistics, num_examples)
    draws = [np.stack([statistics[name](rows) for name in names]) for rows in resamples(num_examples, seed=seed)]
    table = np.concatenate(draws, axis=1)
    return {name: interval(values[name], table[i], num_examples, bounds=BOUNDS.get(name)) for i, name in enumerate(names)}


def values_of(statistics: Statistics, num_examples: int, names: Iterable[str] | None = None) -> dict[str, float]:
    """The values alone, without intervals: of all statistics, or of those among ``names`` that there are."""
    whole = np.arange(num_examples)[None, :]
    wanted = statistics if names is None else [name for name in names if name in statistics]
    return {name: float(statistics[name](whole)[0]) for name in wanted}


def mean(values: Array) -> Statistic:
    """The mean of one number for each example."""
    return lambda rows: values[rows].mean(axis=1)


def summed(parts: Array, ratio: Callable[[Array], Array]) -> Statistic:
    """``ratio`` of the sums of ``parts`` (n, m) over the rows drawn: it is called with (r, m) sums."""

    def statistic(rows: Rows) -> Array:
        return ratio(parts[rows].sum(axis=1))

    return statistic
