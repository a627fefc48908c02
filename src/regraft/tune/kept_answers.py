"""Answers of a network to examples, computed once and kept in the cache by whatever they depend on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.cache import Cache
from regraft.cache.layout import Layout, TensorLayout
from regraft.errors import StorageError

OUTPUT = "output"


def kept_answers(cache: Cache | None, key: str, count: int, compute: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """What ``compute`` makes of ``count`` examples (count, width), read from ``cache`` where it is known."""
    held = cache.get(key) if cache is not None else None
    if held is not None:
        known: NDArray[np.float32] = held.batch(np.arange(count))[OUTPUT].numpy()
        return known
    made = compute()
    if cache is not None:
        _keep(cache, key, made)
    return made


def _keep(cache: Cache, key: str, made: NDArray[np.float32]) -> None:
    layout = Layout((TensorLayout(OUTPUT, (0, 1), (made.shape[1],), "float32"),))
    try:
        cache.fill(key, [(np.arange(len(made)), {})], lambda _: {OUTPUT: torch.from_numpy(made)}, layout=layout, num_rows=len(made))
    except StorageError:
        return  # the answers are in hand: only the next run has to compute them again
