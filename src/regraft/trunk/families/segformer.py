"""SegFormer's encoder, the Mix Transformer (Xie et al. 2021, 2105.15203), as transformers has it: with or without a head around it.

    blocks.i   one of its four levels each: overlapping patches, transformer blocks, norm; a map of 1/4, 1/8, 1/16, 1/32 of the image's side

Features are the mean over the places of the last map, (B, width). Its own decoder, which reads the maps of all levels, is left aside: ``surgery.decoder``
stands in its place.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from regraft.spec import InputSpec
from regraft.trunk.families.transformers_layout import described, is_transformer
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Inputs, Trunk

SIZE = (512, 512)
"""What the published models were tuned at."""


def view(host: Any, **facts: Any) -> Trunk | None:
    if not is_transformer(host, "segformer") or not host.config.reshape_last_stage:
        return None
    base = host.base_model
    prefix = "" if base is host else next(f"{name}." for name, module in host.named_modules() if module is base)
    defaults: dict[str, Any] = {
        "stages": tuple(Stage(f"blocks.{index}", (f"{prefix}stages.{index}",)) for index in range(len(base.stages))),
        "input": InputSpec(kind="image", size=SIZE, interpolation="bilinear"),
        "width": host.config.hidden_sizes[-1],
        "family": "segformer",
        "run": run,
        "head_paths": tuple(name for name, child in host.named_children() if base is not host and child is not base),
        **described(host),
    }
    return Trunk(host=host, **defaults | facts)


def run(host: Any, inputs: Inputs) -> Tensor:
    pooled: Tensor = host.base_model(pixel_values=inputs["image"]).last_hidden_state.mean((2, 3))
    return pooled
