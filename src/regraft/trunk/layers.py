"""The layers of a trunk that an edit can go over: one enumeration, shared by the outline and by surgery.

Linear layers (transformers' ``Conv1D`` among them); in a trunk without any, its ungrouped 2-d convolutions. Left out are layers
whose module is never called, because a fused parent reads their weights directly: an edit there would be ignored in silence.
An edited layer keeps its path: whatever carries a ``base_layer`` stands for that layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from regraft.trunk.stage import Stage

Layer = tuple[str, int, int]
"""(dotted path in the host, in features, out features); of a convolution: inputs of one window, output channels."""

FUSED = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


def linear_layers(host: nn.Module, stages: Sequence[Stage]) -> tuple[tuple[Layer, ...], ...]:
    """For each stage its editable layers, in module order."""
    found = [list(_walk_stage(host, stage)) for stage in stages]
    linear = [tuple(_linear(path, module) for path, module in leaves if _is_linear(module)) for leaves in found]
    if any(linear):
        return tuple(linear)
    return tuple(tuple(_convolution(path, m) for path, m in leaves if isinstance(m, nn.Conv2d) and m.groups == 1) for leaves in found)


def is_convolutional(host: nn.Module, stages: Sequence[Stage]) -> bool:
    """Are the editable layers of this trunk convolutions, for want of linear ones?"""
    return not any(_is_linear(module) for stage in stages for _, module in _walk_stage(host, stage))


def _walk_stage(host: nn.Module, stage: Stage) -> Iterator[tuple[str, nn.Module]]:
    seen: set[int] = set()
    for path in stage.modules:
        yield from _walk(path, host.get_submodule(path), seen)


def _walk(path: str, module: nn.Module, seen: set[int]) -> Iterator[tuple[str, nn.Module]]:
    if id(module) in seen or isinstance(module, FUSED):
        return
    seen.add(id(module))
    base = getattr(module, "base_layer", None)
    if isinstance(base, nn.Module):
        yield from _walk(path, base, seen)
        return
    yield path, module
    for name, child in module.named_children():
        yield from _walk(f"{path}.{name}" if path else name, child, seen)


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or (type(module).__name__ == "Conv1D" and hasattr(module, "nf"))


def _linear(path: str, module: nn.Module) -> Layer:
    if isinstance(module, nn.Linear):
        return path, module.in_features, module.out_features
    into, out = module.get_parameter("weight").shape  # Conv1D keeps its weight as (in, out)
    return path, into, out


def _convolution(path: str, module: nn.Conv2d) -> Layer:
    height, width = module.kernel_size
    return path, module.in_channels * height * width, module.out_channels
