"""A number for a text, an image or a pair of texts.

The head answers in units of the training split's spread (``facts``: its ``mean`` and ``std``), so that learning rates mean the same whatever the scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from regraft.evaluate import least_squares
from regraft.evaluate import regression as metrics
from regraft.spec import FORMS
from regraft.surgery.heads import LinearHead
from regraft.tasks.inputs import shown
from regraft.tasks.task import Floats, Mistake, Solved, Task
from regraft.trunk.trunk import Trunk


def head(trunk: Trunk, num_classes: int, dropout: float = 0.0) -> LinearHead:
    """A linear layer on the trunk's pooled features, with one output."""
    return LinearHead(trunk.width, 1, trunk.pooling, dropout)


def statistics(answers: Floats, targets: Floats, classes: Sequence[str]) -> dict[str, Any]:
    return metrics.statistics(answers, targets)


def document(answers: Floats, targets: Floats, classes: Sequence[str]) -> dict[str, Any]:
    return metrics.document(answers, targets)


def predictions(answers: Floats, classes: Sequence[str], inputs: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"input": shown(given), "value": float(answer)} for given, answer in zip(inputs, answers, strict=True)]


def mistakes(answers: Floats, targets: Floats, classes: Sequence[str], most: int) -> list[Mistake]:
    """Those that are farthest off."""
    worst = np.argsort(-np.abs(answers - targets), kind="stable")[:most]
    return [Mistake(int(row), f"{targets[row]:.4g}", f"{answers[row]:.4g}", None) for row in worst]


def quality(answers: Floats, targets: Floats) -> NDArray[np.float64]:
    """Minus the distance from the truth."""
    return -np.abs(answers.astype(np.float64) - targets)


def regression(name: str, facts: Mapping[str, Any] | None = None) -> Task:
    """The task for numbers of this ``mean`` and ``std``."""
    mean, std = (float((facts or {}).get(key, usual)) for key, usual in (("mean", 0.0), ("std", 1.0)))

    def losses(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """(B,) squared error in units of the spread; ``label_smoothing`` has no meaning here and is not looked at."""
        return (logits[:, 0] - (targets.reshape(-1).to(logits) - mean) / std).square()

    def answers(scores: Floats) -> NDArray[np.float32]:
        """(n,) numbers in their own units."""
        return (np.asarray(scores, np.float64)[:, 0] * std + mean).astype(np.float32)

    def solve(features: Floats, targets: Floats, *, num_outputs: int, seed: int, restraint: float) -> Solved:
        return least_squares.fit(np.asarray(features, np.float32), (targets - mean) / std, restraint=restraint)

    return Task(
        name=name,
        form=FORMS[name],
        headline="r2",
        head=head,
        losses=losses,
        answers=answers,
        statistics=statistics,
        document=document,
        predictions=predictions,
        mistakes=mistakes,
        quality=quality,
        solve=solve,
        mixable=lambda targets, outputs: targets[:, None],
        bind=lambda known: regression(name, known),
        facts=dict(facts or {}),
    )


TEXT_REGRESSION = regression("text-regression")
IMAGE_REGRESSION = regression("image-regression")
TEXT_PAIR_REGRESSION = regression("text-pair-regression")
