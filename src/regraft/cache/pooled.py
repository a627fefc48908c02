"""Pooled features of a whole split: all that a linear head reads, computed once and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.cache.boundary import Boundary
from regraft.cache.key import key
from regraft.cache.layout import POOLED, Layout, TensorLayout
from regraft.data.batching import evaluation_batches
from regraft.data.encode import Encoded, prepare
from regraft.data.encoded import Joined
from regraft.errors import StorageError
from regraft.trunk.machine import hand_back
from regraft.trunk.network import Network
from regraft.trunk.trunk import Inputs

if TYPE_CHECKING:
    from regraft.cache.store import Cache

BATCH_SIZE = 64


def pooled_features(
    network: Network,
    encoded: Encoded,
    *,
    cache: Cache | None = None,
    compute: str = "float32",
    work: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """(n, width) in the order of ``encoded``: what ``network.head`` reads of the trunk, in eval mode and without augmentation.

    Read from ``cache`` where they are known, else computed in ``compute`` precision and kept there; a cache that cannot be
    written (disk full, read-only) costs nothing but the next time. Of two splits that were put together each has its own entry.
    """
    if isinstance(encoded, Joined):
        return np.concatenate([pooled_features(network, part, cache=cache, compute=compute, work=work) for part in encoded.parts])
    boundary = Boundary(network, len(network.trunk.stages))
    if cache is None:
        return _computed(boundary, encoded, compute, work)
    name = key(network, boundary.index, encoded, compute=compute, pooled=True)
    if (held := cache.get(name)) is None:
        with cache.turn(name):
            if (held := cache.get(name)) is None:
                computed = _computed(boundary, encoded, compute, work)
                _keep(cache, name, computed)
                return computed
    features: NDArray[np.float32] = held.batch(np.arange(len(encoded)))[POOLED].numpy()
    return features


def linear_features(
    network: Network,
    encoded: Encoded,
    *,
    cache: Cache | None = None,
    compute: str = "float32",
    work: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """(n, d) all that ``network.head.linear`` reads: the pooled features, and where the head reads columns these beside them."""
    features = pooled_features(network, encoded, cache=cache, compute=compute, work=work)
    if not network.reads_columns:
        return features
    joined: NDArray[np.float32] = network.head.joined(torch.from_numpy(np.array(features)), torch.from_numpy(encoded.columns)).numpy()  # type: ignore[operator]
    return joined


def _computed(boundary: Boundary, encoded: Encoded, compute: str, work: Callable[[int, int], None] | None) -> NDArray[np.float32]:
    device = next(boundary.network.parameters()).device
    dtype = getattr(torch, compute)
    features, done = np.empty((0, 0), np.float32), 0
    for rows, inputs in _batches(boundary, encoded, device):
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            pooled = boundary.capture_pooled(inputs)[POOLED].float().cpu().numpy()
        if not done:
            features = np.empty((len(encoded), pooled.shape[1]), np.float32)
        features[rows] = pooled
        done += len(rows)
        if work is not None:
            work(done, len(encoded))
    hand_back()  # the batches became shorter one by one, and left room for the longest behind
    return features


def _batches(boundary: Boundary, encoded: Encoded, device: torch.device) -> Iterator[tuple[NDArray[np.integer], Inputs]]:
    for rows in capture_batches(encoded):
        yield rows, prepare(encoded.batch(rows), boundary.network.trunk.input, device=device)


def capture_batches(encoded: Encoded) -> list[NDArray[np.integer]]:
    """The rows of a split as frozen parts compute them: the same batches whoever asks, so that the same key means the same bits."""
    return evaluation_batches(len(encoded), BATCH_SIZE, lengths=encoded.lengths, token_budget=encoded.most_together)


def _keep(cache: Cache, name: str, features: NDArray[np.float32]) -> None:
    layout = Layout((TensorLayout(POOLED, (0, 1), (features.shape[1],), "float32"),))
    rows = np.arange(len(features))
    try:
        cache.fill(name, [(rows, {})], lambda _: {POOLED: torch.from_numpy(features)}, layout=layout, num_rows=len(features))
    except StorageError:
        return  # the features are in hand: only the next run has to compute them again
