"""How the categories that a trunk was pretrained on go with those of a task, p(source | target), learned from the source head's answers to the task's
examples (You et al. 2020, Co-Tuning for Transfer Learning, NeurIPS).

    direct     the mean of the answers to the examples of a class                                       (their section 3.1)
    logistic   p(target | source) by logistic regression on the answers, calibrated, turned round       (their reverse approach)

                   p(source | target) ~ p(target | source) p(source),   p(source): the mean of all answers
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regraft.errors import PlanError

Relation = Literal["logistic", "direct"]
Floats = NDArray[np.float64]
STRENGTHS = tuple(10.0**power for power in range(4, -4, -1))
HELD_OUT = 0.2
"""Of each class, to choose the strength and to calibrate by; the paper takes its valid split."""
SCALES = (-5.0, 5.0)
"""Natural logarithms of the factors between which logits are calibrated."""


def relation_of(answers: Floats, targets: NDArray[np.integer], num_classes: int, *, how: Relation, seed: int) -> Floats:
    """(num_classes, m) from ``answers`` (n, m), probabilities of the source's categories; every row adds up to 1. A class without an example is
    related as all examples together are."""
    if how == "direct":
        return direct(answers, targets, num_classes)
    return logistic(answers, targets, num_classes, seed=seed)


def direct(answers: Floats, targets: NDArray[np.integer], num_classes: int) -> Floats:
    found = np.tile(answers.mean(0), (num_classes, 1))
    for one in np.unique(targets):
        found[one] = answers[targets == one].mean(0)
    return found


def logistic(answers: Floats, targets: NDArray[np.integer], num_classes: int, *, seed: int) -> Floats:
    held = held_out(targets, seed)
    known = np.unique(targets)
    if len(known) < 2 or not set(known) <= set(targets[~held]) or not held.any():
        raise PlanError(
            "co_tuning(relation=logistic)",
            "it is calibrated on examples that are held out, and no class has two",
            "co_tuning(relation=direct)",
        )
    weights = min((_fitted(answers, targets, held, strength) for strength in STRENGTHS), key=lambda one: one[:2])[2]
    given_source = softmax(weights)
    found = np.tile(answers.mean(0), (num_classes, 1))
    found[known] = turned(given_source, answers.mean(0))
    return found


def turned(given_source: Floats, marginal: Floats) -> Floats:
    """Bayes: (k, m) p(source | target) from (m, k) p(target | source) and (m,) p(source)."""
    joint = (given_source * marginal[:, None]).T
    turned_round: Floats = joint / joint.sum(1, keepdims=True)
    return turned_round


def held_out(targets: NDArray[np.integer], seed: int) -> NDArray[np.bool_]:
    """(n,): a fifth of each class, one at least, of those that have two or more."""
    draws, held = np.random.default_rng(seed), np.zeros(len(targets), bool)
    for one in np.unique(targets):
        rows = draws.permutation(np.flatnonzero(targets == one))
        held[rows[: max(1, round(HELD_OUT * len(rows))) if len(rows) > 1 else 0]] = True
    return held


def _fitted(answers: Floats, targets: NDArray[np.integer], held: NDArray[np.bool_], strength: float) -> tuple[float, float, Floats]:
    """(share of the held-out answers that is wrong, their log loss once calibrated, (m, k) calibrated logits of a target for each source)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, fit_intercept=False, max_iter=1000).fit(answers[~held], targets[~held])
    rows = (
        model.coef_ if len(model.coef_) > 1 else np.concatenate([-model.coef_, model.coef_]) / 2
    )  # of two classes sklearn keeps the difference
    logits, truth = answers[held] @ rows.T, np.searchsorted(model.classes_, targets[held])
    scale = calibration(logits, truth)
    return float((logits.argmax(1) != truth).mean()), log_loss(scale * logits, truth), scale * rows.T


def calibration(logits: Floats, truth: NDArray[np.integer]) -> float:
    """The factor that makes ``logits`` (n, k) as sure as they are right: temperature scaling (1706.04599)."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(lambda power: log_loss(np.exp(power) * logits, truth), bounds=SCALES, method="bounded")
    return float(np.exp(found.x))


def log_loss(logits: Floats, truth: NDArray[np.integer]) -> float:
    sure = softmax(logits)[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(sure, np.finfo(np.float64).tiny)).mean())


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    shares: Floats = powers / powers.sum(1, keepdims=True)
    return shares
