"""The ``evaluate`` document: metrics with intervals, per class, confusion, calibration. Plain JSON, as DESIGN 4 names it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.evaluate.metrics import NUM_BINS, Answers, of_answers

SCHEMA = 1


def document(probabilities: NDArray[np.floating], targets: NDArray[np.integer], classes: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """Everything that a report says about ``probabilities`` (n, k) against ``targets`` (n,).

    ``per_class``: one object for each class, in order; a rate without examples behind it is ``None``.
    ``confusion``: ``matrix[i][j]`` counts examples of class i that were called j.
    ``calibration``: 15 bins of confidence with their count, mean confidence and accuracy (``None`` where empty).
    """
    answers = Answers.of(probabilities, targets, classes)
    matrix = confusion(answers)
    return {
        "schema": SCHEMA,
        "num_examples": len(answers.targets),
        "metrics": {name: metric.json() for name, metric in of_answers(answers, seed=seed).items()},
        "per_class": per_class(matrix, classes),
        "confusion": {"classes": list(classes), "matrix": matrix.tolist()},
        "calibration": calibration(answers),
    }


def nothing_of_classes() -> dict[str, Any]:
    """The parts of a document that only a classifier fills, for one that is none."""
    return {"per_class": [], "confusion": {"classes": [], "matrix": []}, "calibration": []}


def confusion(answers: Answers) -> NDArray[np.int64]:
    """(k, k) counts: rows are targets, columns are what was predicted."""
    k = answers.num_classes
    cells = answers.targets * k + answers.predicted
    return np.bincount(cells, minlength=k * k).reshape(k, k).astype(np.int64)


def per_class(matrix: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and support of each class, from the confusion matrix (k, k)."""
    hits, support, called = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    return [class_row(name, hits=hits[i], called=called[i], support=support[i]) for i, name in enumerate(classes)]


def class_row(name: str, *, hits: float, called: float, support: float) -> dict[str, Any]:
    """What counts say of one class: ``hits`` of the ``called`` were right, of ``support`` that there were."""
    return {
        "class": name,
        "precision": _rate(hits, called),
        "recall": _rate(hits, support),
        "f1": _rate(2 * hits, support + called),
        "support": int(support),
    }


def calibration(answers: Answers) -> list[dict[str, Any]]:
    """For each bin of confidence: its edges, how many examples fell there, how sure the model was and how often right."""
    edges = np.linspace(0, 1, NUM_BINS + 1)
    count = np.bincount(answers.bins, minlength=NUM_BINS)
    sure = np.bincount(answers.bins, answers.confidence, NUM_BINS)
    right = np.bincount(answers.bins, answers.correct, NUM_BINS)
    return [
        {
            "low": float(edges[i]),
            "high": float(edges[i + 1]),
            "count": int(count[i]),
            "confidence": _rate(sure[i], count[i]),
            "accuracy": _rate(right[i], count[i]),
        }
        for i in range(NUM_BINS)
    ]


def _rate(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
