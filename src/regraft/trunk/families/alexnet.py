"""torchvision's AlexNet (Krizhevsky et al. 2012), cut at its convolutions and its two hidden fully connected layers.

    stem       features.0-2    convolution 1 with pooling
    blocks.0   features.3-5    convolution 2 with pooling
    blocks.1   features.6-7    convolution 3
    blocks.2   features.8-9    convolution 4
    blocks.3   features.10-12  convolution 5 with pooling
    neck.0     classifier.0-2  fc6, behind the average pooling
    neck.1     classifier.3-5  fc7

The features are those of fc7, (B, 4096); classifier.6 is the host's own classifier.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torchvision.models import AlexNet

from regraft.spec import InputSpec
from regraft.trunk.families.explicit import run_to_head
from regraft.trunk.families.vgg import hidden_layers, split_at
from regraft.trunk.trunk import Trunk


def view(host: nn.Module, **facts: Any) -> Trunk | None:
    if not isinstance(host, AlexNet):
        return None
    head = f"classifier.{len(host.classifier) - 1}"
    convolutions = split_at(host.features, nn.Conv2d, name="features")
    defaults: dict[str, Any] = {
        "stages": (*convolutions, *hidden_layers(host.classifier, nn.Dropout)),
        "input": InputSpec(kind="image", size=(224, 224), interpolation="bilinear", crop_fraction=0.875),
        "width": host.classifier[-1].in_features,
        "family": "alexnet",
        "run": partial(run_to_head, path=head),
        "head_paths": (head,),
    }
    return Trunk(host=host, **defaults | facts)
