"""One label out of several, for a text, an image, a sound or a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from regraft import evaluate
from regraft.evaluate import linear, metrics
from regraft.evaluate.bootstrap import Statistic
from regraft.spec import FORMS
from regraft.surgery.heads import LinearHead
from regraft.tasks.inputs import shown
from regraft.tasks.task import Floats, Mistake, Solved, Task
from regraft.trunk.trunk import Trunk

TOP = 5
"""How many classes a prediction names."""


def head(trunk: Trunk, num_classes: int, dropout: float = 0.0) -> LinearHead:
    """A linear layer on the trunk's pooled features."""
    return LinearHead(trunk.width, num_classes, trunk.pooling, dropout)


def losses(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(B,) cross-entropy in nats against ``targets``: class indices (B,), or probabilities (B, k) where examples were mixed.

    ``label_smoothing`` takes that share of each target and spreads it over all classes (Szegedy et al. 2015, 1512.00567).
    """
    return nn.functional.cross_entropy(logits, targets, reduction="none", label_smoothing=label_smoothing)


def probabilities(logits: Floats) -> NDArray[np.float32]:
    """(n, k) softmax, computed in float64."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)


def predictions(probabilities: Floats, classes: Sequence[str], inputs: Sequence[Any]) -> list[dict[str, Any]]:
    """For each input its label, how probable it is, and the likeliest ``TOP`` classes, best first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    tops = [[{"label": classes[i], "probability": float(row[i])} for i in best] for row, best in zip(probabilities, order, strict=True)]
    return [{"input": shown(given), **top[0], "top": top} for given, top in zip(inputs, tops, strict=True)]


def statistics(probabilities: Floats, targets: NDArray[np.integer], classes: Sequence[str]) -> dict[str, Statistic]:
    return metrics.statistics(metrics.Answers.of(probabilities, targets, classes))


def mistakes(probabilities: Floats, targets: NDArray[np.integer], classes: Sequence[str], most: int) -> list[Mistake]:
    """Those that the model is surest of."""
    called, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(called != targets)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:most]
    return [Mistake(int(row), classes[int(targets[row])], classes[int(called[row])], float(sure[row])) for row in worst]


def quality(probabilities: Floats, targets: NDArray[np.integer]) -> NDArray[np.float64]:
    """1 where the likeliest class is the right one."""
    return (probabilities.argmax(axis=1) == targets).astype(np.float64)


def solve(features: Floats, targets: NDArray[np.integer], *, num_outputs: int, seed: int, restraint: float) -> Solved:
    found = linear.fit(features, targets, num_classes=num_outputs, seed=seed, restraint=restraint)
    return found.weights, found.bias


def counts(targets: NDArray[np.integer], num_classes: int) -> tuple[int, ...]:
    return tuple(int(count) for count in np.bincount(targets, minlength=num_classes))


def classification(name: str) -> Task:
    return Task(
        name=name,
        form=FORMS[name],
        headline="accuracy",
        head=head,
        losses=losses,
        answers=probabilities,
        statistics=statistics,
        document=evaluate.document,
        predictions=predictions,
        mistakes=mistakes,
        quality=quality,
        solve=solve,
        counts=counts,
        mixable=lambda targets, outputs: nn.functional.one_hot(targets, outputs).float(),
    )


TEXT_CLASSIFICATION = classification("text-classification")
IMAGE_CLASSIFICATION = classification("image-classification")
AUDIO_CLASSIFICATION = classification("audio-classification")
TEXT_PAIR_CLASSIFICATION = classification("text-pair-classification")
