"""What a trained network is worth: its answers on a split, and the documents made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regraft.cache import Cache
from regraft.cache.pooled import linear_features, pooled_features
from regraft.data.batching import evaluation_batches
from regraft.data.encode import Encoded, prepare
from regraft.evaluate import predict
from regraft.surgery.statistics import StatisticsHead
from regraft.tasks import Task
from regraft.trunk.network import Network
from regraft.trunk.trunk import Inputs

BATCH_SIZE = 64
CHUNK = 1024


def logits(network: Network, encoded: Encoded, work: Callable[[int, int], None] | None = None, *, task: Task | None = None) -> NDArray[Any]:
    """(n, k) logits of the network in eval mode, or what else ``task`` keeps of them, in the order of the split."""
    if task is None or task.collect is None:
        return answers(network, encoded, network, work)
    door = _door(network, encoded)
    with torch.inference_mode():
        return predict.logits(lambda rows: task.kept(network(door(rows)), encoded.target_batch(rows)), _batches(encoded, work))


def answers(
    network: Network, encoded: Encoded, forward: Callable[[Inputs], Tensor], work: Callable[[int, int], None] | None = None
) -> NDArray[np.float32]:
    """(n, width) of what ``forward`` makes of inputs as ``network``, in eval mode, reads them, in the order of the split."""
    door = _door(network, encoded)
    with torch.inference_mode():
        return predict.logits(lambda rows: forward(door(rows)), _batches(encoded, work))


def _door(network: Network, encoded: Encoded) -> Callable[[NDArray[np.integer]], Inputs]:
    """Rows of the split as ``network``, which goes to eval mode, takes them."""
    device = next(network.parameters()).device
    network.eval()
    return lambda rows: prepare(encoded.batch(rows), network.trunk.input, device=device)


def _batches(encoded: Encoded, work: Callable[[int, int], None] | None) -> Iterator[tuple[NDArray[np.integer], NDArray[np.integer]]]:
    done = 0
    for rows in evaluation_batches(len(encoded), BATCH_SIZE, lengths=encoded.lengths, token_budget=encoded.most_together):
        yield rows, rows
        done += len(rows)
        if work:
            work(done, len(encoded))


def logits_of_features(
    network: Network, encoded: Encoded, cache: Cache | None, work: Callable[[int, int], None] | None = None
) -> NDArray[np.float32]:
    """The same for a head on a trunk that no plan has moved: through pooled features, which are kept for the next time."""
    head = network.head
    if isinstance(head, StatisticsHead):
        return head_logits(head, pooled_features(network, encoded, cache=cache, work=work))
    return _linear(head.linear, linear_features(network, encoded, cache=cache, work=work))  # type: ignore[arg-type]


def head_logits(head: StatisticsHead, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, k) from pooled features (n, width)."""
    return _linear(head.linear, features, lift=head.lift)


def _linear(layer: nn.Linear, features: NDArray[np.float32], *, lift: Callable[[Tensor], Tensor] = lambda x: x) -> NDArray[np.float32]:
    device = layer.weight.device
    with torch.inference_mode():
        parts = [layer(lift(torch.from_numpy(np.array(features[start : start + CHUNK])).to(device))).cpu().numpy()
                 for start in range(0, len(features), CHUNK)]  # fmt: skip
    return np.concatenate([np.empty((0, layer.out_features), np.float32), *parts])


def document(task: Task, scores: NDArray[Any], encoded: Encoded, classes: tuple[str, ...]) -> dict[str, Any]:
    """The ``evaluate`` document of these scores (n, ...)."""
    return task.document(task.answers(scores), np.asarray(encoded.targets), classes)
