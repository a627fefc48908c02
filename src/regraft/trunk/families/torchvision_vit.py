"""torchvision's Vision Transformer (Dosovitskiy et al. 2020, 2010.11929).

    stem       conv_proj and the dropout behind it, with the class token and the position table
    blocks.i   encoder.layers.encoder_layer_i
    neck       encoder.ln (and the pre-logits layer where there is one)

The features are those of the class token, (B, width); the last layer of ``heads`` is the host's own classifier.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torchvision.models import VisionTransformer

from regraft.spec import InputSpec
from regraft.trunk.families.explicit import run_to_head
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Trunk


def view(host: nn.Module, **facts: Any) -> Trunk | None:
    if not isinstance(host, VisionTransformer):
        return None
    *before, head = [f"heads.{name}" for name, _ in host.heads.named_children()]
    blocks = (Stage(f"blocks.{i}", (f"encoder.layers.{name}",)) for i, (name, _) in enumerate(host.encoder.layers.named_children()))
    stem = Stage("stem", ("conv_proj", "encoder.dropout"), ("class_token", "encoder.pos_embedding"))
    defaults: dict[str, Any] = {
        "stages": (stem, *blocks, Stage("neck", ("encoder.ln", *before))),
        "input": InputSpec(kind="image", size=(host.image_size,) * 2, interpolation="bilinear", crop_fraction=0.875, flexible_size=False),
        "width": host.representation_size or host.hidden_dim,
        "family": "torchvision_vit",
        "run": partial(run_to_head, path=head),
        "head_paths": (head,),
    }
    return Trunk(host=host, **defaults | facts)
