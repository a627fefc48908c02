"""The encoder of Whisper (2212.04356).

    stem       conv1 conv2 embed_positions
    blocks.i   layers.i
    neck       layer_norm

Takes log-mel spectrograms (B, mel bands, frames) as ``input_features``, always of the length that the model was made for.
Features are one row for each frame, (B, frames, width), pooled by mean.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from regraft.spec import InputSpec
from regraft.trunk.families.transformers_layout import Layout, is_transformer, view_layout
from regraft.trunk.trunk import Inputs, Trunk

LAYOUT = Layout(stems=(("conv1", "conv2", "embed_positions"),), blocks=("layers",), neck=("layer_norm",))


def view(host: Any, **facts: Any) -> Trunk | None:
    if not is_transformer(host, "whisper") or type(host).__name__ != "WhisperEncoder":
        return None
    spec = InputSpec(kind="audio", sample_rate=16_000, flexible_size=False)
    return view_layout(host, LAYOUT, **{"input": spec, "family": "whisper", "pooling": "mean", "run": run} | facts)


def run(host: Any, inputs: Inputs) -> Tensor:
    return host(input_features=inputs["input_features"]).last_hidden_state
