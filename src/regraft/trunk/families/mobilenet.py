"""torchvision's MobileNetV2 (Sandler et al. 2018, 1801.04381), one stage for each inverted bottleneck.

    stem       features.0
    blocks.i   features.1 to the last but one
    neck       the last of features: the 1 x 1 convolution to 1280 channels

The features are pooled, (B, 1280); the whole ``classifier`` (dropout and linear layer) is the host's own.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torchvision.models import MobileNetV2

from regraft.spec import InputSpec
from regraft.trunk.families.explicit import run_to_head
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Trunk


def view(host: nn.Module, **facts: Any) -> Trunk | None:
    if not isinstance(host, MobileNetV2):
        return None
    last = len(host.features) - 1
    blocks = (Stage(f"blocks.{i - 1}", (f"features.{i}",)) for i in range(1, last))
    defaults: dict[str, Any] = {
        "stages": (Stage("stem", ("features.0",)), *blocks, Stage("neck", (f"features.{last}",))),
        "input": InputSpec(kind="image", size=(224, 224), interpolation="bilinear", crop_fraction=0.875),
        "width": host.last_channel,
        "family": "mobilenet",
        "run": partial(run_to_head, path="classifier"),
        "head_paths": ("classifier",),
    }
    return Trunk(host=host, **defaults | facts)
