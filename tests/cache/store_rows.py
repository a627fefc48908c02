"""Rows to store, for the tests of the store and for the processes that they start."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from regraft.cache.layout import Layout, TensorLayout

KEY = "ab12" * 16
WIDTH = 3
RAGGED = Layout((TensorLayout("args.0", (0, 1, 2), (-1, WIDTH), "float32"), TensorLayout("kwargs.side", (0, 1), (-1,), "int64")))
IMAGE = Layout((TensorLayout("args.0", (0, 2, 3, 1), (4, 5, 3), "float32"),))


def rows_of(lengths: list[int]) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(len(lengths))
    return [{"args.0": torch.randn(n, WIDTH, generator=generator), "kwargs.side": torch.arange(n) + 1} for n in lengths]


def padded(rows: list[dict[str, Tensor]], chosen: np.ndarray, garbage: float = 0.0) -> dict[str, Tensor]:
    """The live batch; what stands at padded positions is ``garbage``."""
    longest = max(len(rows[row]["args.0"]) for row in chosen)
    batch = {"args.0": torch.full((len(chosen), longest, WIDTH), garbage), "kwargs.side": torch.full((len(chosen), longest), int(garbage))}
    for place, row in enumerate(chosen):
        for name, tensor in rows[row].items():
            batch[name][place, : len(tensor)] = tensor
    return batch
