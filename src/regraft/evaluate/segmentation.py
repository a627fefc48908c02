"""How well the pixels of images are told apart: counts per image, and what follows from their sums over any draw of the images.

intersection over union of a class: TP / (TP + FP + FN), over all pixels of all images (Everingham et al. 2010); its mean is over the classes
that occur, as truth or as answer. Pixels that count for nothing are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.evaluate.bootstrap import Array, Statistic
from regraft.evaluate.document import SCHEMA, class_row, nothing_of_classes
from regraft.evaluate.measure import measured, summed

Counts = NDArray[np.integer]
"""(n, k, k): pixels of each image; rows are the truth, columns what they were called."""


def counted(called: Sequence[NDArray[np.integer]], true: Sequence[NDArray[np.integer]], num_classes: int) -> Counts:
    """``called`` and ``true``: for each image indices of classes, of one shape; a truth beyond the classes counts for nothing."""
    k = num_classes
    found = np.zeros((len(true), k, k), np.int64)
    for image, (answer, truth) in enumerate(zip(called, true, strict=True)):
        usable = truth < k
        cells = truth[usable].astype(np.int64) * k + answer[usable]
        found[image] = np.bincount(cells, minlength=k * k).reshape(k, k)
    return found


def statistics(counts: Counts) -> dict[str, Statistic]:
    """``mean_iou`` and ``pixel_accuracy``."""
    parts = _parts(counts)
    k = counts.shape[1]
    return {
        "mean_iou": summed(parts, lambda sums: _mean(_ious(sums, k))),
        "pixel_accuracy": summed(parts, lambda sums: sums[:, :k].sum(axis=1) / np.maximum(sums[:, k : 2 * k].sum(axis=1), 1)),
    }


def quality(counts: Counts) -> NDArray[np.float64]:
    """(n,) the mean intersection over union within each image."""
    return _mean(_ious(_parts(counts), counts.shape[1]))


def document(counts: Counts, classes: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """The ``evaluate`` document. ``per_class`` has ``iou`` with its interval beside the rates; ``support`` and ``confusion`` count pixels."""
    parts, k = _parts(counts), len(classes)
    total = counts.sum(axis=0)
    hits, support, called = total.diagonal(), total.sum(axis=1), total.sum(axis=0)
    ious = measured({name: summed(parts, _of_class(index, k)) for index, name in enumerate(classes)}, len(counts), seed=seed)
    rows = [
        {
            **class_row(name, hits=hits[i], called=called[i], support=support[i]),
            "iou": ious[name].json() if support[i] + called[i] else None,
        }
        for i, name in enumerate(classes)
    ]
    found = measured(statistics(counts), len(counts), seed=seed)
    return {
        "schema": SCHEMA,
        "num_examples": len(counts),
        "metrics": {name: metric.json() for name, metric in found.items()},
        **nothing_of_classes(),
        "per_class": rows,
        "confusion": {"classes": list(classes), "matrix": total.tolist()},
    }


def _parts(counts: Counts) -> Array:
    """(n, 3 k): of each image and class the pixels that were right, that there were, and that were called so."""
    hits = np.diagonal(counts, axis1=1, axis2=2)
    return np.concatenate([hits, counts.sum(axis=2), counts.sum(axis=1)], axis=1).astype(np.float64)


def _ious(sums: Array, k: int) -> Array:
    """(r, k) from (r, 3 k) sums; not a number where a class does not occur."""
    hits, support, called = sums[:, :k], sums[:, k : 2 * k], sums[:, 2 * k :]
    union = support + called - hits
    return np.where(union > 0, hits / np.maximum(union, 1), np.nan)


def _mean(ious: Array) -> Array:
    there = ~np.isnan(ious)
    found: Array = np.where(there, ious, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return found


def _of_class(index: int, k: int) -> Callable[[Array], Array]:
    return lambda sums: np.nan_to_num(_ious(sums, k)[:, index])
