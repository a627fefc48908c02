"""The Vision Transformers of transformers: ViT (2010.11929) and DeiT (2012.12877).

    stem       embeddings (patches, class token, position table)
    blocks.i   layers.i (encoder.layer.i in older releases)
    neck       layernorm

Features are those of the class token, (B, width). Pictures of another size than the model's own are read by
interpolating the position table, as transformers does it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from regraft.spec import InputSpec
from regraft.trunk.families.transformers_layout import Layout, is_transformer, view_layout
from regraft.trunk.trunk import Inputs, Trunk

LAYOUT = Layout(stems=(("embeddings",),), blocks=("layers", "encoder.layer"), neck=("layernorm",), head=("pooler",))


def view(host: Any, **facts: Any) -> Trunk | None:
    if not is_transformer(host, "vit", "deit"):
        return None
    size, half = _size(host), (0.5, 0.5, 0.5)
    spec = InputSpec(kind="image", size=size, mean=half, std=half, interpolation="bilinear")
    return view_layout(host, LAYOUT, **{"input": spec, "family": "transformers_vit", "run": run} | facts)


def run(host: Any, inputs: Inputs) -> Tensor:
    image = inputs["image"]
    is_other = tuple(image.shape[-2:]) != _size(host)
    return host.base_model(pixel_values=image, interpolate_pos_encoding=is_other).last_hidden_state[:, 0]


def _size(host: Any) -> tuple[int, int]:
    size = host.config.image_size
    return (size, size) if isinstance(size, int) else (size[0], size[1])
