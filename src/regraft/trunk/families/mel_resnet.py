"""Regraft's own small network for sound (:mod:`regraft.trunk.mel_resnet`).

    stem       mel (samples to a log-mel spectrogram; no weights) and the first convolution
    blocks.i   the residual blocks

Features are one row for every 40 ms, (B, frames, width), pooled by mean over those that begin before the end of the clip.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from regraft.spec import InputSpec
from regraft.trunk.mel_resnet import SAMPLE_RATE, MelResNet
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Inputs, Trunk


def view(host: nn.Module, **facts: Any) -> Trunk | None:
    if not isinstance(host, MelResNet):
        return None
    defaults: dict[str, Any] = {
        "stages": (Stage("stem", ("mel", "stem")), *(Stage(f"blocks.{i}", (f"blocks.{i}",)) for i in range(len(host.blocks)))),
        "input": InputSpec(kind="audio", sample_rate=SAMPLE_RATE),
        "width": host.width,
        "pooling": "mean",
        "family": "mel_resnet",
        "run": run,
    }
    return Trunk(host=host, **defaults | facts)


def run(host: nn.Module, inputs: Inputs) -> Tensor:
    frames: Tensor = host(inputs["input_values"], inputs.get("attention_mask"))
    return frames
