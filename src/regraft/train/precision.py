"""In which number format a step computes. Weights stay fp32; only products are done in less."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from regraft.plan.settings import Settings
from regraft.trunk import machine

Format = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(eq=False, kw_only=True)
class Precision:
    """``scaler`` keeps small fp16 gradients from vanishing; the other formats need none."""

    format: Format
    device: torch.device
    scaler: torch.amp.GradScaler | None = None

    @classmethod
    def of(cls, format: Format, device: torch.device) -> Precision:
        scaler = torch.amp.GradScaler(device.type) if format == "fp16" and device.type == "cuda" else None
        return cls(format=format, device=device, scaler=scaler)

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.format]

    @property
    def compute(self) -> str:
        """torch's name of the format, as the cache's keys have it."""
        return str(self.dtype).removeprefix("torch.")

    def autocast(self) -> AbstractContextManager:
        if self.format == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def backward(self, loss: Tensor) -> None:
        (self.scaler.scale(loss) if self.scaler else loss).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Gradients in their true size, for clipping."""
        if self.scaler:
            self.scaler.unscale_(optimizer)

    def update(self, optimizer: torch.optim.Optimizer) -> None:
        if self.scaler:
            self.scaler.step(optimizer)
            self.scaler.update()
        else:
            optimizer.step()


def precision_for(settings: Settings, device: torch.device) -> Format:
    """What the plan asks for; "auto" is what was measured to be fastest on this machine and is safe for training."""
    if settings.precision != "auto":
        return settings.precision
    measured = machine.measure()
    return measured.precision if measured.device == device.type else "fp32"
