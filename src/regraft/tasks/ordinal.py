"""A level of a scale for a text or an image: classes in an order, where to be one off is better than to be three off.

k levels are k - 1 questions, "is it above level j?", each with a weight vector of its own (Frank and Hall 2001; Niu et al. 2016). Probabilities
of the levels are the differences of the answers, made to fall from question to question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from regraft import evaluate
from regraft.evaluate import linear, metrics
from regraft.evaluate import regression as distances
from regraft.evaluate.measure import measured
from regraft.spec import FORMS
from regraft.surgery.heads import LinearHead
from regraft.tasks.classification import mistakes
from regraft.tasks.inputs import shown
from regraft.tasks.task import Floats, Solved, Task
from regraft.trunk.trunk import Trunk

Levels = NDArray[np.float64]
"""The value of each level (k,), or of one for each example (n,)."""


def head(trunk: Trunk, num_classes: int, dropout: float = 0.0) -> LinearHead:
    return LinearHead(trunk.width, num_classes - 1, trunk.pooling, dropout)


def losses(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(B,) mean log loss over the k - 1 questions; ``targets``: levels (B,), or probabilities of them (B, k) where examples were mixed.

    ``label_smoothing``: that share of each answer is taken to be a coin's.
    """
    above = (
        targets[:, 1:].flip(1).cumsum(1).flip(1)
        if targets.ndim == 2
        else (targets[:, None] > torch.arange(logits.shape[1], device=logits.device))
    )
    wanted = above.to(logits) * (1 - label_smoothing) + label_smoothing / 2
    return nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(1)


def probabilities(scores: Floats) -> NDArray[np.float32]:
    """(n, k) of the levels, adding up to 1."""
    above = np.minimum.accumulate(expit(np.asarray(scores, np.float64)), axis=1)
    ends = np.ones((len(above), 1)), np.zeros((len(above), 1))
    return (np.concatenate([ends[0], above], axis=1) - np.concatenate([above, ends[1]], axis=1)).astype(np.float32)


def solve(features: Floats, targets: NDArray[np.integer], *, num_outputs: int, seed: int, restraint: float) -> Solved:
    above = (np.asarray(targets)[:, None] > np.arange(num_outputs)).astype(np.float32)
    found = linear.fit_sets(features, above, seed=seed, restraint=restraint)
    return found.weights, found.bias


def counts(targets: NDArray[np.integer], num_classes: int) -> tuple[int, ...]:
    return tuple(int(count) for count in np.bincount(targets, minlength=num_classes))


def expected(values: Levels, answers: Floats) -> Levels:
    """(n,) the mean level."""
    found: Levels = answers.astype(np.float64) @ values
    return found


def statistics(values: Levels, answers: Floats, targets: NDArray[np.integer], classes: Sequence[str]) -> dict[str, Any]:
    ranked = distances.statistics(expected(values, answers), values[targets])
    return {"spearman": ranked["spearman"], **ranked, **metrics.statistics(metrics.Answers.of(answers, targets, classes))}


def document(values: Levels, answers: Floats, targets: NDArray[np.integer], classes: Sequence[str]) -> dict[str, Any]:
    found = measured(statistics(values, answers, targets, classes), len(targets))
    return {**evaluate.document(answers, targets, classes), "metrics": {key: metric.json() for key, metric in found.items()}}


def predictions(values: Levels, answers: Floats, classes: Sequence[str], inputs: Sequence[Any]) -> list[dict[str, Any]]:
    best, means = answers.argmax(axis=1), expected(values, answers)
    return [
        {"input": shown(given), "label": classes[best[i]], "probability": float(answers[i, best[i]]), "value": float(means[i])}
        for i, given in enumerate(inputs)
    ]


def quality(values: Levels, answers: Floats, targets: NDArray[np.integer]) -> Levels:
    """Minus the distance of the mean level from the true one."""
    return -np.abs(expected(values, answers) - values[targets])


def mixable(targets: Tensor, outputs: int) -> Tensor:
    return nn.functional.one_hot(targets, outputs + 1).float()


def ordinal(name: str, facts: Mapping[str, Any] | None = None) -> Task:
    """The task for ``facts["levels"]``: the value of each class."""
    values = np.asarray((facts or {}).get("levels", ()), np.float64)
    return Task(
        name=name,
        form=FORMS[name],
        headline="spearman",
        head=head,
        losses=losses,
        answers=probabilities,
        statistics=partial(statistics, values),
        document=partial(document, values),
        predictions=partial(predictions, values),
        mistakes=mistakes,
        quality=partial(quality, values),
        solve=solve,
        outputs=lambda num_classes: num_classes - 1,
        counts=counts,
        mixable=mixable,
        bind=partial(ordinal, name),
        facts=dict(facts or {}),
    )


TEXT_ORDINAL = ordinal("text-ordinal")
IMAGE_ORDINAL = ordinal("image-ordinal")
