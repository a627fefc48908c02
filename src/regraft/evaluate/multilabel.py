"""The numbers of a model that gives any number of labels to each example, and the thresholds above which a label counts as given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RequestError
from regraft.evaluate.bootstrap import Array, Rows, Statistic
from regraft.evaluate.document import SCHEMA, class_row, nothing_of_classes
from regraft.evaluate.measure import mean, measured

FLOOR = np.finfo(np.float32).eps
FEW_POSITIVES = 5
"""A label with fewer positives on valid than this keeps the threshold that is best for all labels together."""


def statistics(
    probabilities: NDArray[np.floating], targets: NDArray[np.floating], thresholds: NDArray[np.floating]
) -> dict[str, Statistic]:
    """``macro_f1``, ``micro_f1`` and ``exact_match`` of the labels above ``thresholds`` (k,); ``mean_average_precision`` and ``log_loss`` of the
    ``probabilities`` (n, k) themselves, against ``targets`` (n, k) of 0 and 1.

    Macro F1 averages over the labels that occur or were given, mean average precision over those that occur.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(targets) > 0.5
    if p.shape != y.shape or p.ndim != 2 or p.shape[1] != len(thresholds):
        raise RequestError(f"measure {len(y)} sets of labels", f"probabilities {p.shape}, targets {y.shape}, {len(thresholds)} thresholds",
                           "one probability and one target for each label of each example")  # fmt: skip
    given = p >= np.asarray(thresholds)
    counts = np.concatenate([given & y, given, y], axis=1).astype(np.float64)
    bounded = np.clip(p, FLOOR, 1 - FLOOR)
    order = np.argsort(-p, axis=0, kind="stable")
    ranked = np.take_along_axis(y, order, axis=0)
    return {
        "mean_average_precision": lambda rows: _mean_average_precision(order, ranked, rows),
        "macro_f1": lambda rows: _macro(_summed(counts, rows), p.shape[1]),
        "micro_f1": lambda rows: _micro(_summed(counts, rows), p.shape[1]),
        "exact_match": mean((given == y).all(axis=1).astype(np.float64)),
        "log_loss": mean(-np.where(y, np.log(bounded), np.log1p(-bounded)).mean(axis=1)),
    }


def document(
    probabilities: NDArray[np.floating],
    targets: NDArray[np.floating],
    thresholds: NDArray[np.floating],
    classes: Sequence[str],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """The ``evaluate`` document; ``per_class``: precision, recall, F1, support, threshold and average precision of each label."""
    found = measured(statistics(probabilities, targets, thresholds), len(targets), seed=seed)
    return {
        "schema": SCHEMA,
        "num_examples": len(targets),
        "metrics": {name: metric.json() for name, metric in found.items()},
        **nothing_of_classes(),
        "per_class": per_label(probabilities, targets, thresholds, classes),
    }


def per_label(
    probabilities: NDArray[np.floating], targets: NDArray[np.floating], thresholds: NDArray[np.floating], classes: Sequence[str]
) -> list[dict[str, Any]]:
    y = np.asarray(targets) > 0.5
    given = np.asarray(probabilities) >= np.asarray(thresholds)
    hits, called, support = (given & y).sum(axis=0), given.sum(axis=0), y.sum(axis=0)
    order = np.argsort(-np.asarray(probabilities), axis=0, kind="stable")
    precisions = average_precisions(np.take_along_axis(y, order, axis=0).astype(np.float64))
    return [
        {
            **class_row(name, hits=hits[i], called=called[i], support=support[i]),
            "threshold": float(thresholds[i]),
            "average_precision": float(precisions[i]) if support[i] else None,
        }
        for i, name in enumerate(classes)
    ]


def best_thresholds(probabilities: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.float64]:
    """(k,) for each label the threshold with the best F1 on these examples; rare labels share the one with the best micro F1.

    A threshold lies midway between two probabilities, so that it does not hang on the last bit of either.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(targets) > 0.5
    shared = _best_threshold(p.ravel(), y.ravel())
    rare = y.sum(axis=0) < FEW_POSITIVES
    return np.array([shared if rare[label] else _best_threshold(p[:, label], y[:, label]) for label in range(p.shape[1])])


def average_precisions(ranked: Array) -> Array:
    """(k,) of ``ranked`` (n, k): 1 where the example at that rank has the label, the likeliest first. 0 for a label that never occurs."""
    hits = ranked.cumsum(axis=0)
    precision = hits / np.arange(1, len(ranked) + 1)[:, None]
    return (precision * ranked).sum(axis=0) / np.maximum(hits[-1], 1)


def _best_threshold(p: Array, y: NDArray[np.bool_]) -> float:
    if not y.any():
        return 0.5
    order = np.argsort(-p, kind="stable")
    ranked, hits = p[order], y[order].cumsum()
    f1 = 2 * hits / (np.arange(1, len(p) + 1) + y.sum())
    f1[:-1][ranked[:-1] == ranked[1:]] = 0.0  # no threshold parts equal probabilities
    best = int(f1.argmax())
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2)


def _summed(counts: Array, rows: Rows) -> Array:
    """(r, 3k) for each resample the sums over its rows: a row counts as often as it was drawn."""
    weights = np.stack([np.bincount(row, minlength=len(counts)) for row in rows])
    summed: Array = weights @ counts
    return summed


def _macro(sums: Array, k: int) -> Array:
    hits, occurring = sums[:, :k], sums[:, k : 2 * k] + sums[:, 2 * k :]
    present = occurring > 0
    f1 = np.divide(2 * hits, occurring, out=np.zeros_like(hits), where=present)
    return f1.sum(axis=1) / np.maximum(present.sum(axis=1), 1)


def _micro(sums: Array, k: int) -> Array:
    hits, occurring = sums[:, :k].sum(axis=1), sums[:, k:].sum(axis=1)
    return np.divide(2 * hits, occurring, out=np.zeros_like(hits), where=occurring > 0)


def _mean_average_precision(order: NDArray[np.intp], ranked: NDArray[np.bool_], rows: Rows) -> Array:
    """One value for each draw; within a draw, an example that was drawn m times takes m ranks in a row."""
    values = np.empty(len(rows))
    for draw, row in enumerate(rows):
        times = np.bincount(row, minlength=len(order))[order]  # (n, k)
        weighted = times * ranked
        hits, seen = weighted.cumsum(axis=0), times.cumsum(axis=0)
        precision = np.divide(hits, seen, out=np.zeros(hits.shape), where=seen > 0)
        present = hits[-1] > 0
        values[draw] = ((precision * weighted).sum(axis=0)[present] / hits[-1][present]).mean() if present.any() else 0.0
    return values
