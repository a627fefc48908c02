"""``file:PATH``: a folder that ``save_pretrained`` or timm wrote, or a file of weights with the architecture it belongs to.

    file:my-bert/                                     transformers (config.json names a model type)
    file:my-resnet/                                   timm (config.json names an architecture)
    file:weights.safetensors?arch=timm:resnet18       any timm or torchvision architecture; its settings may follow
    file:mobilenet_v2.safetensors                     Keras MobileNetV2 layer names: the architecture is found by itself

Without ``num_classes`` the classifier is as wide as the file's own, or left away where the file holds none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from regraft.errors import TrunkError
from regraft.trunk.reference import Reference, parse
from regraft.trunk.sources import keras_mobilenet
from regraft.trunk.sources.wanted import Wanted
from regraft.trunk.sources.weights import fill, read_weights
from regraft.trunk.trunk import Trunk

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


def load(reference: Reference, wanted: Wanted) -> Trunk:
    path = Path(reference.name).expanduser()
    if path.is_dir():
        return _folder(path, reference, wanted)
    if not path.is_file():
        raise TrunkError(f"model 'file:{reference.name}'", "there is no such file or folder", "an existing path, absolute or from here")
    if path.suffix not in SUFFIXES:
        raise TrunkError(
            f"model 'file:{reference.name}'", f"{path.suffix or 'no suffix'} is no file of weights", f"one of {', '.join(SUFFIXES)}"
        )
    tensors, told = read_weights(path)
    settings = dict(reference.settings)
    architecture = str(settings.pop("arch", "") or told.get("architecture", ""))
    if keras_mobilenet.is_keras(tensors):
        return keras_mobilenet.load(tensors, architecture.removeprefix("timm:"), wanted, asked=str(reference))
    if not architecture:
        raise TrunkError(
            f"model 'file:{reference.name}'", "a file of weights does not say what it belongs to", f"file:{reference.name}?arch=timm:NAME"
        )
    return load_into(architecture, settings, tensors if wanted.pretrained else {}, wanted, asked=str(reference))


def load_into(architecture: str, settings: dict[str, Any], tensors: dict[str, Tensor], wanted: Wanted, *, asked: str) -> Trunk:
    """``tensors`` in ``architecture`` ("timm:NAME" or "torchvision:NAME"; timm where no source is given)."""
    named = parse(architecture)
    if named.source == "torchvision":
        from regraft.trunk.sources import torchvision_library as library

        host = library.build(named.name, settings)
        trunk = library.as_trunk(host, named.name, settings, wanted.input_size)
    elif named.source in ("timm", ""):
        from regraft.trunk.sources import timm_library as library  # type: ignore[no-redef]

        settings = {**_classes(named.name, tensors), **settings}
        arguments = library.sized(named.name, settings, wanted.input_size)  # type: ignore[attr-defined]
        host = library.build(named.name, arguments)
        trunk = library.as_trunk(host, named.name, arguments, wanted.input_size)
    else:
        raise TrunkError(f"architecture {architecture!r}", "weights go into timm and torchvision architectures", "?arch=timm:NAME")
    if wanted.pretrained:
        fill(host, tensors, asked=f"load {asked} into {architecture}")
    return trunk


def _classes(name: str, tensors: dict[str, Tensor]) -> dict[str, int]:
    """The number of classes that the file's classifier has; 0 where the file holds none; nothing where there is no file."""
    from timm.models import get_pretrained_cfg

    cfg = get_pretrained_cfg(name, allow_unregistered=True)
    if not tensors or cfg is None or not cfg.classifier:
        return {}
    first = cfg.classifier if isinstance(cfg.classifier, str) else cfg.classifier[0]
    weight = tensors.get(f"{first}.weight")
    return {"num_classes": 0 if weight is None else weight.shape[0]}


def _folder(path: Path, reference: Reference, wanted: Wanted) -> Trunk:
    file = path / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if "model_type" in config:
        from regraft.trunk.sources.transformers_library import from_folder

        return from_folder(path, wanted)
    if "architecture" in config:
        tensors = read_weights(path / "model.safetensors")[0] if wanted.pretrained else {}
        settings = {**config.get("model_args", {}), "num_classes": config.get("num_classes", 0), **reference.settings}
        return load_into(f"timm:{config['architecture']}", settings, tensors, wanted, asked=str(reference))
    raise TrunkError(
        f"model 'file:{reference.name}'", "the folder holds no config.json that names a model", "a folder written by save_pretrained"
    )
