"""Wav2Vec2 (2006.11477), HuBERT (2106.07447) and WavLM (2110.13900).

    stem.0     feature_extractor: the convolutions over samples (speech recipes keep them frozen)
    stem.1     feature_projection and the convolutional positions (and the norm, where it stands before the blocks)
    blocks.i   encoder.layers.i
    neck       the norm, where it stands behind the blocks (stable-layer-norm models), and the adapter

Features are one row for each frame, (B, frames, width), pooled by mean over those that hold sound. ``load`` switches the models' own random masking and
dropping of layers off: what is random belongs to the plan, where it can be seen.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from regraft.spec import InputSpec
from regraft.trunk.families.transformers_layout import Layout, is_transformer, view_layout
from regraft.trunk.trunk import Inputs, Trunk

NORM_FIRST = Layout(
    stems=(("feature_extractor",), ("feature_projection", "encoder.pos_conv_embed", "encoder.layer_norm", "encoder.dropout")),
    extras=("masked_spec_embed",),
    blocks=("encoder.layers",),
    neck=("adapter",),
)
NORM_LAST = Layout(
    stems=(("feature_extractor",), ("feature_projection", "encoder.pos_conv_embed", "encoder.dropout")),
    extras=("masked_spec_embed",),
    blocks=("encoder.layers",),
    neck=("encoder.layer_norm", "adapter"),
)


def view(host: Any, **facts: Any) -> Trunk | None:
    if not is_transformer(host, "wav2vec2", "hubert", "wavlm"):
        return None
    config = host.config
    layout = NORM_LAST if config.do_stable_layer_norm else NORM_FIRST
    width = config.output_hidden_size if getattr(config, "add_adapter", False) else config.hidden_size
    spec = InputSpec(kind="audio", sample_rate=16_000)
    return view_layout(host, layout, **{"input": spec, "width": width, "family": "wav2vec2", "pooling": "mean", "run": run} | facts)


def run(host: Any, inputs: Inputs) -> Tensor:
    """(B, frames, width) from ``input_values`` (B, T) and, where clips differ in length, ``attention_mask`` (B, T).

    Frames behind the end of a clip are zero, by the model's own count of them: a head that takes the frame at the end for one of
    them reads nothing there that depends on the padding.
    """
    frames = host.base_model(**inputs).last_hidden_state
    mask = inputs.get("attention_mask")
    if mask is None:
        return frames
    heard = host.base_model._get_feature_vector_attention_mask(frames.shape[1], mask)
    return frames * heard.unsqueeze(-1).to(frames.dtype)
