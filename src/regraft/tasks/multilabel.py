"""Any number of labels for a text or an image: a question for each label, and a threshold for each answer, decided on valid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from regraft.evaluate import linear
from regraft.evaluate import multilabel as metrics
from regraft.spec import FORMS
from regraft.surgery.heads import LinearHead
from regraft.tasks.inputs import shown
from regraft.tasks.task import Floats, Mistake, Solved, Task
from regraft.trunk.trunk import Trunk

UNDECIDED = 0.5
TOP = 5


def head(trunk: Trunk, num_classes: int, dropout: float = 0.0) -> LinearHead:
    """A linear layer on the trunk's pooled features, with an output for each label."""
    return LinearHead(trunk.width, num_classes, trunk.pooling, dropout)


def losses(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(B,) log loss summed over the labels; ``targets`` (B, k) in 0..1. ``label_smoothing``: that share of each answer is taken to be a coin's.

    The sum, as its gradient in one label does not fade with the number of others.
    """
    wanted = targets.to(logits) * (1 - label_smoothing) + label_smoothing / 2
    return nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1)


def probabilities(scores: Floats) -> NDArray[np.float32]:
    """(n, k) the probability of each label by itself."""
    return expit(np.asarray(scores, np.float64)).astype(np.float32)


def solve(features: Floats, targets: Floats, *, num_outputs: int, seed: int, restraint: float) -> Solved:
    found = linear.fit_sets(features, np.asarray(targets, np.float32), seed=seed, restraint=restraint)
    return found.weights, found.bias


def settle(scores: Floats, targets: Floats) -> dict[str, Any]:
    """``thresholds``: for each label the probability from which on it is given, with the best F1 on valid."""
    return {"thresholds": metrics.best_thresholds(probabilities(scores), targets).tolist()}


def quality(answers: Floats, targets: Floats, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Jaccard index of the labels given and the true ones; 1 where both are none."""
    given, true = answers >= thresholds, targets > 0.5
    both, either = (given & true).sum(axis=1), (given | true).sum(axis=1)
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def mistakes(answers: Floats, targets: Floats, classes: Sequence[str], thresholds: NDArray[np.float64], most: int) -> list[Mistake]:
    """Those with the least probable truth."""
    given, true = answers >= thresholds, targets > 0.5
    sure = np.where(true, answers, 1 - answers).min(axis=1)
    wrong = np.flatnonzero((given != true).any(axis=1))
    worst = wrong[np.argsort(sure[wrong], kind="stable")][:most]
    named = [[", ".join(classes[i] for i in np.flatnonzero(flags[row]).tolist()) or "none" for flags in (true, given)] for row in worst]
    return [Mistake(int(row), label, called, float(1 - sure[row])) for row, (label, called) in zip(worst, named, strict=True)]


def prediction(given: Any, answer: Floats, classes: Sequence[str], thresholds: NDArray[np.float64]) -> dict[str, Any]:
    order = np.argsort(-answer, kind="stable").tolist()
    labels = [classes[i] for i in order if answer[i] >= thresholds[i]]
    return {"input": shown(given), "labels": labels, "top": [{"label": classes[i], "probability": float(answer[i])} for i in order[:TOP]]}


def multilabel(name: str, facts: Mapping[str, Any] | None = None) -> Task:
    """The task with ``facts["thresholds"]``; one half for every label until valid has decided them."""
    decided = (facts or {}).get("thresholds")

    def thresholds(answers: Floats) -> NDArray[np.float64]:
        return np.full(answers.shape[1], UNDECIDED) if decided is None else np.asarray(decided, np.float64)

    return Task(
        name=name,
        form=FORMS[name],
        headline="mean_average_precision",
        head=head,
        losses=losses,
        answers=probabilities,
        statistics=lambda answers, targets, classes: metrics.statistics(answers, targets, thresholds(answers)),
        document=lambda answers, targets, classes: metrics.document(answers, targets, thresholds(answers), classes),
        predictions=lambda answers, classes, inputs: [
            prediction(given, answer, classes, thresholds(answers)) for given, answer in zip(inputs, answers, strict=True)
        ],
        mistakes=lambda answers, targets, classes, most: mistakes(answers, targets, classes, thresholds(answers), most),
        quality=lambda answers, targets: quality(answers, targets, thresholds(answers)),
        solve=solve,
        bind=lambda known: multilabel(name, known),
        settle=settle,
        facts=dict(facts or {}),
    )


TEXT_MULTILABEL = multilabel("text-multilabel")
IMAGE_MULTILABEL = multilabel("image-multilabel")
