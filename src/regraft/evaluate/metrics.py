"""The numbers of a classifier, each with its bootstrap interval. Definitions are scikit-learn's, and a test holds them to it.

They are written as sums over examples because an interval needs a thousand of each (``evaluate.bootstrap``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RequestError
from regraft.evaluate.bootstrap import Array, Rows, Statistic, tally
from regraft.evaluate.measure import mean, measured
from regraft.spec import Metric

NUM_BINS = 15


@dataclass(frozen=True, eq=False, slots=True)
class Answers:
    """What a classifier said about n examples, checked.

    ``probabilities`` (n, k), rows adding up to 1; ``targets`` (n,) indices below k; ``predicted`` (n,) the likeliest class.
    """

    probabilities: Array
    targets: NDArray[np.intp]
    predicted: NDArray[np.intp]

    @classmethod
    def of(cls, probabilities: NDArray[np.floating], targets: NDArray[np.integer], classes: Sequence[str]) -> Answers:
        """Raises ``RequestError`` where there is nothing to measure, or the parts do not belong together."""
        p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(targets, dtype=np.intp)
        _check(p, y, len(classes))
        return cls(p, y, p.argmax(axis=1))

    @property
    def num_classes(self) -> int:
        return self.probabilities.shape[1]

    @property
    def correct(self) -> NDArray[np.bool_]:
        return self.predicted == self.targets

    @property
    def confidence(self) -> Array:
        """(n,) the probability of the predicted class."""
        return self.probabilities.max(axis=1)

    @property
    def losses(self) -> Array:
        """(n,) natural-log loss of each example; a probability below float32's precision counts as that precision."""
        p = self.probabilities[np.arange(len(self.targets)), self.targets]
        return -np.log(np.clip(p, np.finfo(np.float32).eps, 1.0))

    @property
    def bins(self) -> NDArray[np.intp]:
        """(n,) which of the ``NUM_BINS`` equal bins of confidence, each closed at its upper end."""
        return np.clip(np.ceil(self.confidence * NUM_BINS).astype(np.intp) - 1, 0, NUM_BINS - 1)


def classification(
    probabilities: NDArray[np.floating], targets: NDArray[np.integer], classes: Sequence[str], *, seed: int = 0
) -> dict[str, Metric]:
    """accuracy, balanced_accuracy, macro_f1, log_loss (nats) and calibration_error of ``probabilities`` (n, k).

    Balanced accuracy averages over the classes that occur among ``targets`` (n,), macro F1 over those that occur or
    were predicted. The calibration error is the expected one over 15 equal bins of confidence (Guo et al. 2017, 1706.04599).
    """
    return of_answers(Answers.of(probabilities, targets, classes), seed=seed)


def of_answers(answers: Answers, *, seed: int = 0) -> dict[str, Metric]:
    """The same for answers that are checked already."""
    return measured(statistics(answers), len(answers.targets), seed=seed)


def statistics(answers: Answers) -> dict[str, Statistic]:
    """All metrics of a classifier, each for any draw of the examples."""
    return {name: make(answers) for name, make in STATISTICS.items()}


def _balanced_accuracy(answers: Answers) -> Statistic:
    k, correct = answers.num_classes, answers.correct.astype(float)

    def statistic(rows: Rows) -> Array:
        support = tally(answers.targets, k, rows)
        hits = tally(answers.targets, k, rows, correct)
        return _mean_where(hits, support, support > 0)

    return statistic


def _macro_f1(answers: Answers) -> Statistic:
    k, correct = answers.num_classes, answers.correct.astype(float)

    def statistic(rows: Rows) -> Array:
        occurring = tally(answers.targets, k, rows) + tally(answers.predicted, k, rows)
        hits = tally(answers.targets, k, rows, correct)
        return _mean_where(2 * hits, occurring, occurring > 0)

    return statistic


def _calibration_error(answers: Answers) -> Statistic:
    bins, gap = answers.bins, answers.confidence - answers.correct
    return lambda rows: np.abs(tally(bins, NUM_BINS, rows, gap)).sum(axis=1) / rows.shape[1]


STATISTICS: dict[str, Callable[[Answers], Statistic]] = {
    "accuracy": lambda answers: mean(answers.correct.astype(float)),
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "log_loss": lambda answers: mean(answers.losses),
    "calibration_error": _calibration_error,
}


def _mean_where(upper: Array, lower: Array, present: NDArray[np.bool_]) -> Array:
    """(r,): the mean of ``upper / lower`` (r, k) over the classes ``present`` in each resample."""
    ratio = np.divide(upper, lower, out=np.zeros_like(upper), where=present)
    return ratio.sum(axis=1) / present.sum(axis=1)


def _check(probabilities: Array, targets: NDArray[np.intp], num_classes: int) -> None:
    asked = f"measure {len(targets)} examples in {num_classes} classes"
    if len(targets) == 0:
        raise RequestError(asked, "the split is empty", "a split that holds at least one example")
    if probabilities.shape != (len(targets), num_classes):
        raise RequestError(asked, f"probabilities of shape {probabilities.shape}", f"probabilities ({len(targets)}, {num_classes})")
    if targets.min() < 0 or targets.max() >= num_classes:
        raise RequestError(asked, f"targets from {targets.min()} to {targets.max()}", f"targets from 0 to {num_classes - 1}")
    if not np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-3):  # NaN fails here too
        raise RequestError(asked, "rows of probabilities that do not add up to 1", "probabilities rather than logits, and finite ones")
