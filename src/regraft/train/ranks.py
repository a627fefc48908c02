"""Several processes as one: each takes its slice of every batch, and the gradients are added up once per step.

The sum is taken after accumulation and over one flat buffer, so that it is the same for live and cached inputs, for any
edit, and for any phase. With one process nothing happens here at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, broadcast_object_list
from numpy.typing import NDArray
from torch import Tensor, nn

Value = TypeVar("Value")


class Ranks:
    """This process among the others of ``accelerate launch`` or ``torchrun``."""

    def __init__(self) -> None:
        self._accelerator = Accelerator()
        self.device: torch.device = self._accelerator.device
        self.count: int = self._accelerator.num_processes
        self.rank: int = self._accelerator.process_index
        self.is_first: bool = self._accelerator.is_main_process

    def mine(self, rows: NDArray[np.integer]) -> NDArray[np.integer]:
        """The rows of a batch that this process computes; may be empty in the last batch of an epoch."""
        return rows[self.rank :: self.count]

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        if self.count == 1:
            return
        has = torch.tensor([p.grad is not None for p in parameters], device=self.device, dtype=torch.float32)
        reached = self._sum(has).tolist()
        held = [p for p, flag in zip(parameters, reached, strict=True) if flag]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in held])
        parts = self._sum(flat).split([p.numel() for p in held])
        for parameter, part in zip(held, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def share_buffers(self, buffers: Iterable[Tensor]) -> None:
        """Batch-norm statistics of the first process for all, as torch's own DistributedDataParallel does."""
        if self.count > 1:
            for buffer in buffers:
                buffer.copy_(broadcast(buffer, from_process=0))

    def total(self, value: Tensor) -> Tensor:
        return value if self.count == 1 else self._sum(value)

    def any(self, flag: bool) -> bool:
        return flag if self.count == 1 else bool(self._sum(torch.tensor(float(flag), device=self.device)).item())

    def first_says(self, value: Value) -> Value:
        """What the first process has, for all: what was measured may differ between them."""
        said = [value]
        if self.count > 1:
            broadcast_object_list(said, from_process=0)
        return said[0]

    def wait(self) -> None:
        self._accelerator.wait_for_everyone()

    def _sum(self, value: Tensor) -> Tensor:
        summed: Tensor = self._accelerator.reduce(value, reduction="sum")
        return summed
