"""A task: what is learned, seen by the training loop, by evaluation and by prediction. A record of functions, no base class.

One file per task holds its functions; a new task is a new ``Task``, handed over or registered under ``regraft.tasks``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from regraft.spec import InputKind

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """``name`` as a person types it; ``kind`` of input; ``headline``: the metric that early stopping and tables read.

    ``head(trunk, num_classes, dropout) -> module`` called as ``head(features, mask) -> logits (B, k)``.
    ``losses(logits (B, k), targets (B,) indices or (B, k) probabilities, label_smoothing) -> (B,)``, one for each example.
    ``probabilities(logits (n, k)) -> (n, k)`` float32.
    ``document(probabilities, targets (n,), classes)``: the ``evaluate`` document.
    ``predictions(probabilities, classes, inputs)``: one JSON object for each input.
    """

    name: str
    kind: InputKind
    headline: str
    head: Callable[..., nn.Module]
    losses: Callable[..., Tensor]
    probabilities: Callable[[Floats], NDArray[np.float32]]
    document: Callable[..., dict[str, Any]]
    predictions: Callable[[Floats, Sequence[str], Sequence[str]], list[dict[str, Any]]]
