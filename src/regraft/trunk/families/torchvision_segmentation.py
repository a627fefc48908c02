"""torchvision's FCN (Long et al. 2015, 1411.4038) and DeepLabV3 (Chen et al. 2017, 1706.05587), their own heads but for the last layer included.

    stem       what stands before the first block of the backbone
    blocks.i   residual blocks, counted through the levels; of a MobileNetV3 its blocks
    neck       their own head without its last layer: classifier.0 and on (atrous pyramid pooling, convolutions)

The features are the mean over all places of what enters the last layer of the head, (B, 256) or (B, 512) for an FCN. The last layer and the
auxiliary head are the host's own classifier.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torchvision.models.segmentation import FCN, DeepLabV3

from regraft.spec import InputSpec
from regraft.trunk.families.resnet import LEVELS
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Inputs, Trunk


def view(host: Any, **facts: Any) -> Trunk | None:
    if not isinstance(host, (FCN, DeepLabV3)):
        return None
    stem, blocks = _backbone(host.backbone)
    last = len(host.classifier) - 1
    head = (f"classifier.{last}", *(("aux_classifier",) if getattr(host, "aux_classifier", None) is not None else ()))
    defaults: dict[str, Any] = {
        "stages": (
            Stage("stem", stem),
            *(Stage(f"blocks.{i}", (path,)) for i, path in enumerate(blocks)),
            Stage("neck", tuple(f"classifier.{i}" for i in range(last))),
        ),
        "input": InputSpec(kind="image", size=(224, 224), interpolation="bilinear"),
        "width": _width(host.classifier),
        "family": "torchvision_segmentation",
        "run": run,
        "head_paths": head,
    }
    return Trunk(host=host, **defaults | facts)


def run(host: Any, inputs: Inputs) -> Tensor:
    """(B, width): the auxiliary head is left aside, and nothing is brought back to the size of the image."""
    found = host.backbone(inputs["image"])["out"]
    for layer in list(host.classifier)[:-1]:
        found = layer(found)
    pooled: Tensor = found.mean((2, 3))
    return pooled


def _backbone(backbone: nn.Module) -> tuple[tuple[str, ...], list[str]]:
    """Paths of the stem, and of each block."""
    names = [name for name, _ in backbone.named_children()]
    levels = [name for name in names if name in LEVELS]
    if not levels:
        return (f"backbone.{names[0]}",), [f"backbone.{name}" for name in names[1:]]
    stem = tuple(f"backbone.{name}" for name in names[: names.index(levels[0])])
    return stem, [f"backbone.{level}.{index}" for level in levels for index in range(len(backbone.get_submodule(level)))]  # type: ignore[arg-type]


def _width(classifier: nn.Sequential) -> int:
    """Channels of the last convolution before the head's own last layer."""
    convolutions = [layer for layer in list(classifier)[:-1] if isinstance(layer, nn.Conv2d)]
    return convolutions[-1].out_channels
