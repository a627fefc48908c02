"""Logits over a split, back in the order in which the split holds its examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor

    from regraft.trunk.trunk import Inputs

    Batches = Iterable[tuple[NDArray[np.integer], Inputs]]


def logits(forward: Callable[[Inputs], Tensor], batches: Batches) -> NDArray[np.float32]:
    """(n, k) float32. ``batches`` gives (row numbers (b,), inputs) in any order; together the rows are 0 .. n - 1, once each.

    ``forward(inputs)`` returns logits (b, k); it runs without gradient. Whether the model is in eval mode is the
    caller's to say: a network as a whole, or what stands above a cached boundary.
    """
    import torch

    rows, values = [], []
    with torch.inference_mode():
        for numbers, inputs in batches:
            rows.append(np.asarray(numbers))
            values.append(forward(inputs).float().cpu().numpy())
    if not rows:
        raise RequestError("predict over a split", "it has no batch", "a split that holds at least one example")
    order = np.concatenate(rows)
    if not np.array_equal(np.sort(order), np.arange(len(order))):
        raise RequestError("predict over a split", "batches that leave a row out or hold one twice", "each row in exactly one batch")
    table = np.concatenate(values)
    result = np.empty_like(table)
    result[order] = table
    return result
