"""What a network says about a split, back in the order in which the split holds its examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor


def logits(forward: Callable[[Any], Tensor | Sequence[NDArray[Any]]], batches: Iterable[tuple[NDArray[np.integer], Any]]) -> NDArray[Any]:
    """(n, k) float32, or (n,) objects. ``batches`` gives (row numbers (b,), what ``forward`` takes) in any order; together the rows are 0 .. n - 1, once each.

    ``forward(inputs)`` returns logits (b, k), or one array for each of the b examples, where these differ in shape; it runs without gradient. Whether the model is in eval mode is the
    caller's to say: a network as a whole, or what stands above a cached boundary.
    """
    import torch

    rows, values = [], []
    with torch.inference_mode():
        for numbers, inputs in batches:
            rows.append(np.asarray(numbers))
            values.append(_as_array(forward(inputs)))
    if not rows:
        raise RequestError("predict over a split", "it has no batch", "a split that holds at least one example")
    order = np.concatenate(rows)
    if not np.array_equal(np.sort(order), np.arange(len(order))):
        raise RequestError("predict over a split", "batches that leave a row out or hold one twice", "each row in exactly one batch")
    table = np.concatenate(values)
    result = np.empty_like(table)
    result[order] = table
    return result


def _as_array(found: Tensor | Sequence[NDArray[Any]]) -> NDArray[Any]:
    if not isinstance(found, list):
        return found.float().cpu().numpy()  # type: ignore[union-attr]
    rows = np.empty(len(found), dtype=object)
    for index, row in enumerate(found):
        rows[index] = row
    return rows
