"""torchvision's VGG (Simonyan and Zisserman 2014, 1409.1556), with or without batch norm, cut behind its five max-poolings.

    stem, blocks.0 to blocks.3   the five groups of convolutions, each with the pooling that ends it
    neck.0                       fc6 (classifier.0-2), behind the average pooling
    neck.1                       fc7 (classifier.3-5)

The features are those of fc7, (B, 4096); classifier.6 is the host's own classifier.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torchvision.models import VGG

from regraft.spec import InputSpec
from regraft.trunk.families.explicit import run_to_head
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Trunk


def view(host: nn.Module, **facts: Any) -> Trunk | None:
    if not isinstance(host, VGG):
        return None
    head = f"classifier.{len(host.classifier) - 1}"
    ends = [index + 1 for index, layer in enumerate(host.features) if isinstance(layer, nn.MaxPool2d)]
    defaults: dict[str, Any] = {
        "stages": (*_cut(len(host.features), [0, *ends[:-1]], "features"), *hidden_layers(host.classifier, nn.Linear)),
        "input": InputSpec(kind="image", size=(224, 224), interpolation="bilinear", crop_fraction=0.875),
        "width": host.classifier[-1].in_features,
        "family": "vgg",
        "run": partial(run_to_head, path=head),
        "head_paths": (head,),
    }
    return Trunk(host=host, **defaults | facts)


def split_at(layers: nn.Sequential, opens: type[nn.Module], *, name: str) -> tuple[Stage, ...]:
    """``layers`` as stem and blocks, a new stage at every layer of type ``opens``."""
    return _cut(len(layers), [index for index, layer in enumerate(layers) if isinstance(layer, opens)], name)


def hidden_layers(classifier: nn.Sequential, opens: type[nn.Module]) -> tuple[Stage, ...]:
    """The layers of ``classifier`` before its last as neck.0, neck.1, ...; the average pooling goes with the first."""
    starts = [index for index, layer in enumerate(classifier) if isinstance(layer, opens) and index < len(classifier) - 1]
    stops = [*starts[1:], len(classifier) - 1]
    cut = [tuple(f"classifier.{i}" for i in range(*span)) for span in zip(starts, stops, strict=True)]
    return tuple(Stage(f"neck.{i}", (("avgpool", *paths) if i == 0 else paths)) for i, paths in enumerate(cut))


def _cut(length: int, starts: list[int], name: str) -> tuple[Stage, ...]:
    spans = zip(starts, [*starts[1:], length], strict=True)
    paths = [tuple(f"{name}.{i}" for i in range(*span)) for span in spans]
    return tuple(Stage("stem" if i == 0 else f"blocks.{i - 1}", span) for i, span in enumerate(paths))
