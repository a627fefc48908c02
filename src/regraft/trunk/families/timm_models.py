"""Every timm model that says how its layers are grouped: ResNet, MobileNet, EfficientNet, ConvNeXt, RegNet, ViT, DeiT, Swin, ...

    stem      everything before the first block (patch embedding with class token and position table, deep stems, pooling)
    blocks.i  one residual block, transformer block or inverted bottleneck each, counted through all levels:
              resnet10t has layer1.0 layer2.0 layer3.0 layer4.0 as blocks.0 to blocks.3; a downsampling layer between levels
              belongs to the block after it
    neck      what follows the blocks: final norm, convolutional head, hidden head layers; absent where there is none

Which parameter belongs to which group is timm's own word (``group_matcher``); the order, and that each module is called once,
is seen by running a weightless copy. Groups that interleave (parallel branches) become one stage. Features are pooled, (B, width).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from timm.models import group_parameters
from torch import Tensor, nn

from regraft.spec import InputSpec
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Inputs, Trunk
from regraft.trunk.weightless import weightless

AFTER_BLOCKS = (99999,)  # the suffix by which timm's matchers mark a layer that goes with the one before it
NECK = 1_000_000  # the group of everything that timm does not number


def view(host: Any, **facts: Any) -> Trunk | None:
    if not all(hasattr(host, name) for name in ("group_matcher", "forward_features", "forward_head", "get_classifier")):
        return None
    spec = facts.pop("input", None) or input_of(host)
    heads = _head_paths(host)
    calls, width = _rehearse(host, spec)
    stages = _stages(host, heads, calls)
    rebuilt_by = {
        "library": "timm",
        "architecture": host.pretrained_cfg.get("architecture", ""),
        "arguments": {"num_classes": host.num_classes},
    }
    defaults: dict[str, Any] = {
        "stages": stages,
        "input": spec,
        "width": width,
        "family": "timm_models",
        "run": run,
        "head_paths": heads,
        "source": rebuilt_by,
    }
    return Trunk(host=host, **defaults | facts)


def run(host: Any, inputs: Inputs) -> Tensor:
    """Pooled features (B, width), as they would enter timm's own classifier."""
    return host.forward_head(host.forward_features(inputs["image"]), pre_logits=True)


def input_of(host: Any) -> InputSpec:
    """What timm's pretrained configuration says about the pixels."""
    cfg = host.pretrained_cfg
    size = getattr(getattr(host, "patch_embed", None), "img_size", None) or cfg["input_size"][-2:]
    return InputSpec(
        kind="image",
        size=(int(size[0]), int(size[1])),
        mean=tuple(cfg["mean"]),
        std=tuple(cfg["std"]),
        interpolation=cfg.get("interpolation", "bicubic"),
        crop_fraction=cfg.get("crop_pct", 1.0) or 1.0,
        flexible_size=not cfg.get("fixed_input_size", False),
    )


def _head_paths(host: Any) -> tuple[str, ...]:
    found = host.get_classifier()
    owned = {id(module) for module in (found if isinstance(found, (tuple, list)) else (found,))}
    return tuple(name for name, module in host.named_modules() if id(module) in owned and any(True for _ in module.parameters()))


def _rehearse(host: Any, spec: InputSpec) -> tuple[list[str], int]:
    """(paths of modules in the order of their calls, width of the features), seen on a weightless copy."""
    copied, calls = weightless(host).eval(), []
    for name, module in copied.named_modules():
        module.register_forward_pre_hook(lambda _, __, name=name: calls.append(name))
    weight = next(copied.parameters())
    channels = host.pretrained_cfg.get("input_size", (3,))[0]
    with torch.no_grad():
        features = run(copied, {"image": torch.empty(2, channels, *(spec.size or ()), device="meta", dtype=weight.dtype)})
    return calls, features.shape[-1]


@dataclass
class _Piece:
    """A module that goes into a stage whole. ``group``: timm's layer number; ``None`` where it has no parameters."""

    path: str
    group: int | None


@dataclass
class _Span:
    """Groups that share a stretch of the data flow: ``first`` to ``last`` are positions among the pieces."""

    first: int
    last: int
    groups: set[int] = field(default_factory=set)


def _stages(host: Any, heads: tuple[str, ...], calls: list[str]) -> tuple[Stage, ...]:
    matcher = host.group_matcher(coarse=False)
    counted = _patterns(matcher)
    numbers = group_parameters(host, matcher, reverse=True)
    groups = {n: g if _matches(n, counted) else NECK for n, g in numbers.items() if not _under(n, heads)}
    pieces, bare = _pieces(host, groups, calls)
    spans = _spans(pieces)
    door = {group for name, group in groups.items() if isinstance(matcher, dict) and _matches(name, _patterns({"": matcher.get("stem")}))}
    first = max(1, next((i for i, span in enumerate(spans) if not span.groups <= door), 1))  # VGG starts with its first block
    names = ["stem" if i < first else "neck" if span.groups == {NECK} else f"blocks.{i - first}" for i, span in enumerate(spans)]
    modules: dict[str, list[str]] = {name: [] for name in names}
    extras: dict[str, list[str]] = {name: [] for name in names}
    for name, span in zip(names, spans, strict=True):
        modules[name] += [piece.path for piece in pieces[span.first : span.last + 1]]
        extras[name] += [path for path, group in bare.items() if group in span.groups]
    homeless = set(bare) - {path for paths in extras.values() for path in paths}
    extras["stem"] += sorted(homeless)  # a parameter that no called module owns stands at the door
    return tuple(Stage(name, tuple(modules[name]), tuple(extras[name])) for name in modules)


def _patterns(matcher: Any) -> list[str]:
    """The expressions in a timm matcher that name numbered layers; for a matcher that is a function: all names."""
    if not isinstance(matcher, dict):
        return [""]
    specs = [spec for spec in matcher.values() if spec is not None]
    entries = [entry for spec in specs for entry in ([(spec, None)] if isinstance(spec, str) else spec)]
    return [pattern for pattern, suffix in entries if suffix != AFTER_BLOCKS]


def _matches(name: str, patterns: list[str]) -> bool:
    return any(re.match(pattern, name) for pattern in patterns)


def _pieces(host: Any, groups: dict[str, int], calls: list[str]) -> tuple[list[_Piece], dict[str, int]]:
    """The largest modules that are called once and whose parameters share a group, in data-flow order; and the parameters
    that no such module holds, with their groups."""
    count, pieces, bare = Counter(calls), [], {}

    def visit(module: nn.Module, path: str) -> Iterator[_Piece]:
        inside = f"{path}." if path else ""
        held = {groups.get(inside + name) for name, _ in module.named_parameters()}
        is_lone_list = type(module) is nn.Sequential and len(module) == 1
        if path and count[path] == 1 and len(held) <= 1 and None not in held and not is_lone_list:
            yield _Piece(path, next(iter(held), None))
            return
        bare.update({inside + n: groups[inside + n] for n, _ in module.named_parameters(recurse=False) if inside + n in groups})
        for name, child in module.named_children():
            yield from visit(child, inside + name)

    place = {path: index for index, path in reversed(list(enumerate(calls)))}
    pieces = sorted(visit(host, ""), key=lambda piece: place[piece.path])
    owning = [index for index, piece in enumerate(pieces) if piece.group is not None]
    kept = [piece for piece in pieces[: owning[-1] + 1] if type(host.get_submodule(piece.path)) is not nn.Identity]
    return kept, bare


def _spans(pieces: list[_Piece]) -> list[_Span]:
    """Groups as stretches of the data flow; those that overlap become one. A piece without parameters, or one that timm
    counts to nothing though blocks follow it, goes with the one before."""
    spans: list[_Span] = []
    last_counted = max(index for index, piece in enumerate(pieces) if piece.group not in (None, NECK))
    for index, piece in enumerate(pieces):
        if piece.group is None or (piece.group == NECK and index < last_counted):
            if spans:
                spans[-1].last = index
            continue
        seen = next((i for i, span in enumerate(spans) if piece.group in span.groups), len(spans))
        merged = _Span(index, index, {piece.group})
        for span in spans[seen:]:
            merged.first, merged.groups = min(merged.first, span.first), merged.groups | span.groups
        spans[seen:] = [merged]
    spans[0].first = 0
    return spans


def _under(name: str, paths: tuple[str, ...]) -> bool:
    return any(name == path or name.startswith(path + ".") for path in paths)
