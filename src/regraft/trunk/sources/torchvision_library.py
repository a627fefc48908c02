"""``torchvision:NAME`` and ``torchvision:NAME.WEIGHTS`` (``resnet50.IMAGENET1K_V2``), weights from torch's download cache."""

from __future__ import annotations

import inspect
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn
from torchvision import models

from regraft.errors import TrunkError, suggest
from regraft.trunk.families import view
from regraft.trunk.reference import Reference
from regraft.trunk.sources import hub
from regraft.trunk.sources.wanted import Wanted
from regraft.trunk.sources.weights import fill
from regraft.trunk.trunk import Trunk


def load(reference: Reference, wanted: Wanted) -> Trunk:
    name, _, tag = reference.name.partition(".")
    weights = _weights(name, tag) if wanted.pretrained else None
    arguments = {**(_count(weights) if weights else {}), **reference.settings}
    if wanted.input_size and name.startswith("vit_"):
        arguments["image_size"] = wanted.input_size
    host = build(name, arguments)
    if weights is not None:
        state = torch.load(hub.downloaded(weights.url, online=wanted.online), map_location="cpu", weights_only=True)
        fill(host, _fitted(host, state), asked=f"load the weights {weights} into torchvision:{name}")
    return as_trunk(host, name, arguments, wanted.input_size, weights)


def rebuild(source: dict[str, Any], assets: dict[str, bytes], facts: dict[str, Any]) -> Trunk:
    return view(build(source["architecture"], source["arguments"]), **facts)


def build(name: str, arguments: dict[str, Any]) -> nn.Module:
    if name not in models.list_models():
        near = get_close_matches(name, models.list_models(), n=8, cutoff=0.4)
        raise TrunkError(f"model 'torchvision:{name}'", "torchvision has no model of that name", suggest(name, near))
    told = inspect.signature(models.get_model_builder(name)).parameters
    bare = {"weights_backbone": None} if "weights_backbone" in told else {}  # FCN and DeepLab would fetch an ImageNet backbone
    try:
        return models.get_model(name, weights=None, **bare, **arguments).eval()
    except TypeError as error:
        raise TrunkError(f"model 'torchvision:{name}' with {arguments}", str(error), "leave out what the model does not know") from error


def as_trunk(host: nn.Module, name: str, arguments: dict[str, Any], input_size: int, weights: Any = None) -> Trunk:
    trunk = view(host, source={"library": "torchvision", "architecture": name, "arguments": arguments})
    if weights is not None:
        eval_transform = weights.transforms()
        edge = eval_transform.resize_size[0]
        crop = eval_transform.crop_size[0] if hasattr(eval_transform, "crop_size") else edge  # masks are of the whole image
        trunk.input = replace(
            trunk.input,
            size=(crop, crop),
            mean=tuple(eval_transform.mean),
            std=tuple(eval_transform.std),
            interpolation=eval_transform.interpolation.value,
            crop_fraction=round(crop / edge, 4),
        )
    if input_size:
        trunk.input = replace(trunk.input, size=(input_size, input_size))
    return trunk


def _weights(name: str, tag: str) -> Any:
    if name not in models.list_models():
        build(name, {})
    known = models.get_model_weights(name)
    if tag and tag not in known.__members__:
        raise TrunkError(
            f"weights {tag!r} of 'torchvision:{name}'", "torchvision has no weights of that name", suggest(tag, known.__members__)
        )
    return known[tag] if tag else known.DEFAULT  # type: ignore[attr-defined]


def _count(weights: Any) -> dict[str, Any]:
    """Only told where it is not the thousand classes that torchvision builds by itself."""
    count = len(weights.meta.get("categories", ())) or 1000
    return {} if count == 1000 else {"num_classes": count}


def _fitted(host: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``state`` with the position table interpolated where a ViT is built for another size than its weights, and without the auxiliary head of
    an FCN or a DeepLab, which only their own training needs."""
    if getattr(host, "aux_classifier", "none") is None:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("aux_classifier.")}
    if not isinstance(host, models.VisionTransformer):
        return state
    from torchvision.models.vision_transformer import interpolate_embeddings

    return interpolate_embeddings(host.image_size, host.patch_size, state)  # type: ignore[return-value]
