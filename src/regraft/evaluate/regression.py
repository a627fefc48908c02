"""The numbers of a model that predicts numbers: how much of the variance it explains, how well it ranks, how far it is off."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RequestError
from regraft.evaluate.bootstrap import Array, Rows, Statistic
from regraft.evaluate.document import SCHEMA, nothing_of_classes
from regraft.evaluate.measure import mean, measured

SHOWN = 400
"""At most so many examples stand in the scatter plot of a document."""


def statistics(predicted: NDArray[np.floating], targets: NDArray[np.floating]) -> dict[str, Statistic]:
    """``r2``, ``pearson``, ``spearman`` (ties share their mean rank) and ``mean_absolute_error`` of ``predicted`` (n,) against ``targets`` (n,).

    A draw in which all targets are equal has no variance to explain: its r2 and correlations count as 0.
    """
    p, y = _checked(predicted), _checked(targets)
    if p.shape != y.shape:
        raise RequestError(f"measure {len(y)} numbers", f"{p.shape} predictions for {y.shape} targets", "one prediction for each target")
    return {
        "r2": lambda rows: _r2(p[rows], y[rows]),
        "pearson": lambda rows: _correlation(p[rows], y[rows]),
        "spearman": lambda rows: _spearman(p, y, rows),
        "mean_absolute_error": mean(np.abs(p - y)),
    }


def document(predicted: NDArray[np.floating], targets: NDArray[np.floating], *, seed: int = 0) -> dict[str, Any]:
    """The ``evaluate`` document: metrics, and ``scatter``: pairs [target, predicted] of at most 400 examples, evenly spaced by target."""
    found = measured(statistics(predicted, targets), len(targets), seed=seed)
    order = np.argsort(targets, kind="stable")
    shown = order[np.unique(np.linspace(0, len(order) - 1, min(SHOWN, len(order))).astype(int))]
    return {
        "schema": SCHEMA,
        "num_examples": len(targets),
        "metrics": {name: metric.json() for name, metric in found.items()},
        **nothing_of_classes(),
        "scatter": [[float(targets[row]), float(predicted[row])] for row in shown],
    }


def _checked(values: NDArray[np.floating]) -> Array:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise RequestError("measure numbers", f"values of shape {numbers.shape}, {int((~np.isfinite(numbers)).sum())} of them not finite",
                           "one finite number for each example")  # fmt: skip
    return numbers


def _r2(p: Array, y: Array) -> Array:
    total = np.square(y - y.mean(axis=1, keepdims=True)).sum(axis=1)
    left = np.square(y - p).sum(axis=1)
    return np.where(total > 0, 1 - left / np.where(total > 0, total, 1), 0.0)


def _correlation(p: Array, y: Array) -> Array:
    p, y = p - p.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(p).sum(axis=1) * np.square(y).sum(axis=1))
    return np.where(spread > 0, (p * y).sum(axis=1) / np.where(spread > 0, spread, 1), 0.0)


def _spearman(p: Array, y: Array, rows: Rows) -> Array:
    from scipy.stats import rankdata

    return _correlation(rankdata(p[rows], axis=1), rankdata(y[rows], axis=1))
