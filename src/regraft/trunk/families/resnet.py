"""torchvision's ResNet, ResNeXt and Wide ResNet (He et al. 2015, 1512.03385), one stage for each residual block.

    stem       conv1 bn1 relu maxpool
    blocks.i   the residual blocks, counted through the four levels: in ResNet-50, layer1.0 is blocks.0, layer2.0 is blocks.3,
               layer3.0 is blocks.7, layer4.0 is blocks.13, layer4.2 is blocks.15

The features are pooled, (B, 512) or (B, 2048); fc is the host's own classifier.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torchvision.models import ResNet

from regraft.spec import InputSpec
from regraft.trunk.families.explicit import run_to_head
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Trunk

LEVELS = ("layer1", "layer2", "layer3", "layer4")


def view(host: nn.Module, **facts: Any) -> Trunk | None:
    if not isinstance(host, ResNet):
        return None
    blocks = [f"{level}.{index}" for level in LEVELS for index in range(len(host.get_submodule(level)))]
    defaults: dict[str, Any] = {
        "stages": (Stage("stem", ("conv1", "bn1", "relu", "maxpool")), *(Stage(f"blocks.{i}", (b,)) for i, b in enumerate(blocks))),
        "input": InputSpec(kind="image", size=(224, 224), interpolation="bilinear", crop_fraction=0.875),
        "width": host.inplanes,
        "family": "resnet",
        "run": partial(run_to_head, path="fc"),
        "head_paths": ("fc",),
    }
    return Trunk(host=host, **defaults | facts)
