"""The encoder of Whisper (2212.04356).

    stem       conv1 conv2 embed_positions
    blocks.i   layers.i
    neck       layer_norm

Hears samples, (B, T) as ``input_values``: their log-mel spectrogram is made here as Whisper's own feature extractor makes it, and filled up with silence
to the 30 s that the model was made for; or takes such spectrograms (B, mel bands, frames) as ``input_features``. Features are one row for every 20 ms
that were heard, (B, frames, width), pooled by mean over those that begin before the end of the clip.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from regraft.spec import InputSpec
from regraft.trunk.families.transformers_layout import Layout, is_transformer, view_layout
from regraft.trunk.trunk import Inputs, Trunk

LAYOUT = Layout(stems=(("conv1", "conv2", "embed_positions"),), blocks=("layers",), neck=("layer_norm",))
SAMPLE_RATE, WINDOW, HOP = 16_000, 400, 160
PER_ROW = 2 * HOP
"""Samples for one row of features."""


def view(host: Any, **facts: Any) -> Trunk | None:
    if not is_transformer(host, "whisper") or type(host).__name__ != "WhisperEncoder":
        return None
    longest = PER_ROW * host.config.max_source_positions
    spec = InputSpec(kind="audio", sample_rate=SAMPLE_RATE, max_length=longest, flexible_size=False)
    return view_layout(host, LAYOUT, **{"input": spec, "family": "whisper", "pooling": "mean", "run": run} | facts)


def run(host: Any, inputs: Inputs) -> Tensor:
    """(B, frames, width); rows behind the end of a clip are zero."""
    if "input_features" in inputs:
        return host(input_features=inputs["input_features"]).last_hidden_state
    samples, mask = inputs["input_values"], inputs.get("attention_mask")
    spectrum = log_mel(samples, host.config.num_mel_bins, PER_ROW * host.config.max_source_positions)
    rows = host(input_features=spectrum).last_hidden_state[:, : -(-samples.shape[1] // PER_ROW)]
    return rows if mask is None else rows * mask[:, ::PER_ROW, None].to(rows.dtype)


def log_mel(samples: Tensor, bands: int, length: int) -> Tensor:
    """(B, bands, length / 160) from samples (B, T): log10 of the power in each mel band, not more than 8 below the clip's loudest, scaled to about -1..1."""
    filled = functional.pad(samples.float(), (0, length - samples.shape[1]))
    padded = functional.pad(filled[:, None], (WINDOW // 2, WINDOW // 2), mode="reflect")[:, 0]
    pieces = padded.unfold(1, WINDOW, HOP)[:, : length // HOP] * torch.hann_window(WINDOW, device=samples.device)
    spectrum = torch.fft.rfft(pieces)
    power = _bank(bands).to(samples.device) @ (spectrum.real**2 + spectrum.imag**2).transpose(1, 2)
    levels = power.clamp(min=1e-10).log10()
    return (torch.maximum(levels, levels.amax((1, 2), keepdim=True) - 8.0) + 4.0) / 4.0


@lru_cache(maxsize=4)
def _bank(bands: int) -> Tensor:
    """(bands, bins) Whisper's filters, by transformers."""
    from transformers.audio_utils import mel_filter_bank

    bins = 1 + WINDOW // 2
    filters = mel_filter_bank(bins, bands, 0.0, SAMPLE_RATE / 2, SAMPLE_RATE, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(filters).T.float()
