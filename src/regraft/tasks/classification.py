"""One label out of several, for a text or an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from regraft import evaluate
from regraft.spec import InputKind
from regraft.surgery.heads import LinearHead
from regraft.tasks.task import Floats, Task
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


def predictions(probabilities: Floats, classes: Sequence[str], inputs: Sequence[str]) -> list[dict[str, Any]]:
    """For each input its label, how probable it is, and the likeliest ``TOP`` classes, best first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    tops = [[{"label": classes[i], "probability": float(row[i])} for i in best] for row, best in zip(probabilities, order, strict=True)]
    return [{"input": given, **top[0], "top": top} for given, top in zip(inputs, tops, strict=True)]


def classification(name: str, kind: InputKind) -> Task:
    return Task(
        name=name,
        kind=kind,
        headline="accuracy",
        head=head,
        losses=losses,
        probabilities=probabilities,
        document=evaluate.document,
        predictions=predictions,
    )


TEXT_CLASSIFICATION = classification("text-classification", "text")
IMAGE_CLASSIFICATION = classification("image-classification", "image")
