"""The probe: how much of the task the pretrained features know already, measured on held-out examples before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.evaluate import linear
from regraft.evaluate.bootstrap import accuracy
from regraft.spec import Metric


@dataclass(frozen=True, eq=False, slots=True)
class ProbeResult:
    """``weights`` (k, d), ``bias`` (k,): a linear head on raw features; ``mean``, ``scale`` (d,): what standardised them.

    ``c``: inverse strength of the regularisation, picked by cross-validation. ``cv_accuracy``: on examples held out.
    ``cv_predictions`` and ``cv_correct`` (m,): the held-out answers to the examples ``rows`` (m,), which are all of them
    up to ``linear.MOST_EXAMPLES``. ``seconds``: what it took.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    c: float
    cv_accuracy: Metric
    cv_predictions: NDArray[np.intp]
    cv_correct: NDArray[np.bool_]
    rows: NDArray[np.intp]
    seconds: float


def probe(
    features: NDArray[np.float32],
    targets: NDArray[np.integer],
    *,
    seed: int = 0,
    groups: NDArray[np.integer] | None = None,
    num_classes: int = 0,
) -> ProbeResult:
    """Solve a linear head on pooled ``features`` (n, d) for ``targets`` (n,) and measure it by cross-validation.

    ``groups`` (n,): near duplicates, kept on one side of every fold. ``num_classes``: 0 takes the largest target.
    """
    y = np.asarray(targets, dtype=np.intp)
    found = linear.fit(features, y, num_classes=num_classes or int(y.max(initial=0)) + 1, seed=seed, groups=groups)
    predictions = found.held_out.argmax(axis=1)
    correct = predictions == y[found.rows]
    return ProbeResult(
        weights=found.weights,
        bias=found.bias,
        mean=found.mean,
        scale=found.scale,
        c=found.c,
        cv_accuracy=accuracy(correct, seed=seed),
        cv_predictions=predictions,
        cv_correct=correct,
        rows=found.rows,
        seconds=found.seconds,
    )
