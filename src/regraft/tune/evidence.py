"""What a trained network is worth: its answers on a split, and the documents made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.data.batching import evaluation_batches
from regraft.data.encode import Encoded, prepare
from regraft.evaluate import predict
from regraft.tasks import Task
from regraft.trunk.network import Network

BATCH_SIZE = 64


def logits(network: Network, encoded: Encoded, work: Callable[[int, int], None] | None = None) -> NDArray[np.float32]:
    """(n, k) logits of the network in eval mode, in the order of the split."""
    device = next(network.parameters()).device
    spec = network.trunk.input
    network.eval()

    def batches() -> Iterator[tuple[NDArray[np.integer], Mapping[str, Tensor]]]:
        done = 0
        for rows in evaluation_batches(len(encoded), BATCH_SIZE, lengths=encoded.lengths):
            yield rows, prepare(encoded.batch(rows), spec, device=device)
            done += len(rows)
            if work:
                work(done, len(encoded))

    with torch.inference_mode():
        return predict.logits(network, batches())


def document(task: Task, scores: NDArray[np.float32], encoded: Encoded, classes: tuple[str, ...]) -> dict[str, Any]:
    """The ``evaluate`` document of these logits (n, k)."""
    return task.document(task.probabilities(scores), np.asarray(encoded.targets), classes)


def worst(task: Task, scores: NDArray[np.float32], targets: NDArray[np.integer], most: int = 24) -> NDArray[np.integer]:
    """Rows of the errors that the network is surest of, the surest first."""
    probabilities = task.probabilities(scores)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != targets)
    return wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:most]
