"""How the entries of one example lie: which axis runs over the batch, which over the length, and what is left for a row.

Found with dry runs at other shapes (``cache.boundary``), so it is a fact of the model and not a guess from one batch: an axis that
moves when the batch grows is the batch, one that moves when the text is shorter is the length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.cache.boundary import LIVE_INPUTS, Boundary
from regraft.cache.placeholder import NotReproduced, Placeholder, memory_order
from regraft.trunk.trunk import Inputs

POOLED = "pooled"
LENGTH = -1
"""In the shape of a row: the axis whose size is the row's own length."""


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """One entry: ``name``; ``axes`` bring the live tensor into the order in which it is stored: batch, length (if any), then the rest from
    the slowest to the fastest in memory; ``row``: what one example stores, in that order; ``dtype``: of the live tensor."""

    name: str
    axes: tuple[int, ...]
    row: tuple[int, ...]
    dtype: str

    @property
    def is_ragged(self) -> bool:
        return LENGTH in self.row

    @property
    def width(self) -> int:
        """Elements of one step of a ragged entry, or of a whole row."""
        return prod(size for size in self.row if size != LENGTH)

    def to_stored(self, live: Tensor) -> Tensor:
        """(B, length, ...) or (B, ...), from the live tensor."""
        return live.permute(self.axes)

    def to_live(self, stored: Tensor) -> Tensor:
        return stored.permute(sorted(range(len(self.axes)), key=self.axes.__getitem__))

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> TensorLayout:
        return cls(document["name"], tuple(document["axes"]), tuple(document["row"]), document["dtype"])


@dataclass(frozen=True, slots=True)
class Layout:
    """``steps``: length of an example's input -> length of its entries; for text they are the same."""

    tensors: tuple[TensorLayout, ...]
    steps: Callable[[int], int] | None = field(default=None, compare=False)

    @property
    def is_ragged(self) -> bool:
        return any(tensor.is_ragged for tensor in self.tensors)

    def row_lengths(self, lengths: Sequence[int] | np.ndarray) -> np.ndarray:
        """Length of each example's entries."""
        lengths = np.asarray(lengths, dtype=np.int64)
        if self.steps is None:
            return lengths
        distinct, where = np.unique(lengths, return_inverse=True)
        return np.array([self.steps(int(length)) for length in distinct], dtype=np.int64)[where]

    def num_bytes(self, num_rows: int, *, lengths: Sequence[int] | np.ndarray | None = None, dtype: str | None = None) -> int:
        """What the store will need for ``num_rows`` examples, exact but for the index of a few bytes per row."""
        steps = int(self.row_lengths(lengths).sum()) if lengths is not None else num_rows
        return sum(
            (steps if tensor.is_ragged else num_rows) * tensor.width * stored_dtype(tensor, dtype).itemsize for tensor in self.tensors
        )

    def json(self) -> list[dict[str, Any]]:
        return [asdict(tensor) for tensor in self.tensors]


def stored_dtype(tensor: TensorLayout, dtype: str | None) -> torch.dtype:
    """``dtype`` for what is floating; everything else as it is."""
    live: torch.dtype = getattr(torch, tensor.dtype)
    return getattr(torch, dtype) if dtype and live.is_floating_point else live


def layout_of(boundary: Boundary, inputs: Inputs, *, pooled: bool = False) -> Layout:
    """How what enters at ``boundary`` is to be stored, for batches like ``inputs``; ``pooled``: for ``capture_pooled``.

    Raises ``NotReproduced`` for a tensor that does not have the batch as an axis of its own: it cannot be split into rows.
    """
    if pooled:
        dtype = next(iter(boundary.entrance(inputs).entries.values())).dtype
        return Layout((TensorLayout(POOLED, (0, 1), (boundary.network.trunk.width,), _name(dtype)),))
    batch = len(next(iter(inputs.values())))
    length = inputs["attention_mask"].shape[1] if "attention_mask" in inputs else 0
    shorter = length - max(1, length // 4) if length > 1 else 2
    boundary.forget_shapes()
    live = boundary.capture({name: tensor[:2] for name, tensor in inputs.items()})
    now = boundary.dry_run(inputs).entries
    larger = boundary.dry_run(_resized(inputs, batch + 1, length)).entries
    other = boundary.dry_run(_resized(inputs, batch, shorter)).entries if length else now
    tensors = tuple(_one(boundary.name, name, (now[name], larger[name], other[name]), live[name]) for name in now)

    def steps(wanted: int) -> int:
        found = boundary.dry_run(_resized(inputs, batch, wanted)).entries
        return next(found[tensor.name].shape[tensor.axes[1]] for tensor in tensors if tensor.is_ragged)

    ragged = [tensor for tensor in tensors if tensor.is_ragged]
    same = all(now[t.name].shape[t.axes[1]] == length and other[t.name].shape[t.axes[1]] == shorter for t in ragged)
    return Layout(tensors, None if same else steps)


def _one(boundary: str, name: str, dry: tuple[Placeholder, Placeholder, Placeholder], live: Tensor) -> TensorLayout:
    """``dry``: as given, with one row more, with another length. ``live``: real, since kernels choose the order in memory."""
    now, larger, other = dry
    batches = [axis for axis in range(now.dim()) if larger.shape[axis] != now.shape[axis]]
    lengths = [axis for axis in range(now.dim()) if other.shape[axis] != now.shape[axis]]
    if len(batches) != 1 or larger.shape[batches[0]] != now.shape[batches[0]] + 1 or len(lengths) > 1 or lengths == batches:
        raise NotReproduced(f"store {name} at {boundary}", f"{tuple(now.shape)} has no axis of its own for the batch, or more than one for "
                            "the length", "train this phase live")  # fmt: skip
    slow_to_fast = memory_order(live) or tuple(range(now.dim()))
    axes = (*batches, *lengths, *(axis for axis in slow_to_fast if axis not in batches and axis not in lengths))
    row = tuple(LENGTH if axis in lengths else now.shape[axis] for axis in axes[1:])
    return TensorLayout(name, axes, row, _name(now.dtype))


def _resized(inputs: Inputs, batch: int, length: int) -> dict[str, Tensor]:
    """Stand-ins for ``inputs`` with other numbers of rows and steps; the attention mask and its kin are all ones."""
    before = inputs["attention_mask"].shape[1] if "attention_mask" in inputs else None
    resized: dict[str, Tensor] = {}
    for name, tensor in inputs.items():
        shape = (batch, *(length if size == before and axis == 0 else size for axis, size in enumerate(tensor.shape[1:])))
        if name in LIVE_INPUTS:
            resized[name] = torch.ones(shape, dtype=tensor.dtype, device=tensor.device)
        else:
            resized[name] = Placeholder.of_shape(shape, tensor.dtype, tensor.device, memory_order(tensor))
    return resized


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
