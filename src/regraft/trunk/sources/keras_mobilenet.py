"""Keras weights of MobileNetV2 in timm's architecture: the names are translated, padding and batch norm are TensorFlow's.

TensorFlow pads a stride of 2 right and below only (``pad_type="same"``), its batch norm divides by sqrt(variance + 0.001), and
pixels come as -1 to 1. With these three the features are those of the original.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from regraft.errors import TrunkError
from regraft.spec import InputSpec
from regraft.trunk.sources import timm_library
from regraft.trunk.sources.wanted import Wanted
from regraft.trunk.sources.weights import fill
from regraft.trunk.trunk import Trunk
from regraft.trunk.weightless import weightless

ARCHITECTURES = ("mobilenetv2_035", "mobilenetv2_050", "mobilenetv2_075", "mobilenetv2_100", "mobilenetv2_140")
LEVELS = (1, 2, 3, 4, 3, 3, 1)  # blocks in each of timm's seven levels
ARGUMENTS = {"num_classes": 0, "pad_type": "same", "bn_eps": 1e-3}
INPUT = InputSpec(kind="image", size=(224, 224), mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear", crop_fraction=1.0)
OUTSIDE = {"Conv1": "conv_stem", "bn_Conv1": "bn1", "Conv_1": "conv_head", "Conv_1_bn": "bn2"}
FIRST = {"depthwise": "conv_dw", "depthwise_BN": "bn1", "project": "conv_pw", "project_BN": "bn2"}
LATER = {"expand": "conv_pw", "expand_BN": "bn1", "depthwise": "conv_dw", "depthwise_BN": "bn2", "project": "conv_pwl", "project_BN": "bn3"}


def is_keras(tensors: Mapping[str, Tensor]) -> bool:
    return "expanded_conv_depthwise.weight" in tensors and "Conv1.weight" in tensors


def load(tensors: Mapping[str, Tensor], architecture: str, wanted: Wanted, *, asked: str) -> Trunk:
    """``architecture``: one of ``ARCHITECTURES``; empty: the one whose shapes fit."""
    named = {translate(name): value for name, value in tensors.items()}
    architecture = architecture or _fitting(named, asked)
    host = timm_library.build(architecture, ARGUMENTS)
    if wanted.pretrained:
        fill(host, named, asked=f"load {asked} into timm:{architecture}")
    return timm_library.as_trunk(host, architecture, dict(ARGUMENTS), wanted.input_size, INPUT)


def translate(name: str) -> str:
    """``block_4_depthwise_BN.weight`` -> ``blocks.3.0.bn2.weight``; a name that has no place there is left as it is."""
    layer, _, kind = name.rpartition(".")
    if layer in OUTSIDE:
        return f"{OUTSIDE[layer]}.{kind}"
    if layer.startswith("expanded_conv_") and layer.removeprefix("expanded_conv_") in FIRST:
        return f"blocks.0.0.{FIRST[layer.removeprefix('expanded_conv_')]}.{kind}"
    found = re.fullmatch(r"block_(\d+)_(\w+)", layer)
    if not found or found[2] not in LATER:
        return name
    number, level = int(found[1]), 0
    while level < len(LEVELS) and number >= LEVELS[level]:
        number, level = number - LEVELS[level], level + 1
    return f"blocks.{level}.{number}.{LATER[found[2]]}.{kind}"


def _fitting(named: Mapping[str, Tensor], asked: str) -> str:
    for architecture in ARCHITECTURES:
        places = weightless(timm_library.build(architecture, ARGUMENTS)).state_dict()
        if all(name in places and places[name].shape == value.shape for name, value in named.items()):
            return architecture
    raise TrunkError(
        f"load {asked}", f"the shapes fit none of {', '.join(ARCHITECTURES)}", "?arch=timm:NAME for the nearest one and a list"
    )
