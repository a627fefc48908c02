"""Replace: another activation, norm, pooling, head or block in the place of what stands there. New norms take over scale and shift."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from regraft.errors import TrunkError, suggest
from regraft.surgery.adapter import Bottleneck
from regraft.surgery.flow import passages
from regraft.surgery.heads import LinearHead
from regraft.surgery.sites import Site, stand
from regraft.surgery.structure import Replace
from regraft.trunk.measure import is_norm
from regraft.trunk.network import Network

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, "hardswish": nn.Hardswish,
    "leaky_relu": partial(nn.LeakyReLU, 0.01), "mish": nn.Mish,
}  # fmt: skip
ACTIVATION_PLACES = ("torch.nn.modules.activation", "transformers.activations", "timm.layers.activations")
NOT_ACTIVATIONS = (nn.MultiheadAttention, nn.Softmax, nn.PReLU)
TOKEN_POOLINGS = ("mean", "first", "last")
MOST_GROUPS = 32
SAME_NORM = {"layer": "LayerNorm", "rms": "RMSNorm"}


class MlpHead(LinearHead):
    """A linear head with a residual layer before it, of zeros at first: ``linear(dropout(x + up(gelu(down(x)))))``."""

    is_linear = False  # no closed form finds it

    def __init__(self, width: int, num_classes: int, pooling: str, dropout: float) -> None:
        super().__init__(width, num_classes, pooling, dropout)
        self.residual = Bottleneck(width, width, "tokens")

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        pooled = self.pool(features, mask)
        logits: Tensor = self.linear(self.dropout(pooled + self.residual(pooled)))
        return logits


def find(network: Network, index: int, edit: Replace) -> tuple[Site, ...]:
    """The modules that are replaced; none where a head or its pooling is."""
    is_head = index == len(network.trunk.stages)
    if is_head:
        _check_head(network, edit)
        return ()
    paths = list(FINDERS[edit.what](network, index, edit)) if edit.what in FINDERS else []
    if not paths:
        name = network.trunk.stages[index].name
        hint = "replace(..., at=head)" if edit.what in ("head", "pooling") else "another stage, or another thing to replace"
        raise TrunkError(f"{edit.label} in {name}", f"{name} has no {edit.what} of a known kind", hint)
    return tuple(Site(path, 0) for path in paths)


def install(network: Network, sites: Sequence[Site], edit: Replace) -> None:
    if not sites:
        _replace_head(network, edit)
    for site in sites:
        old = network.host.get_submodule(site.path)
        new = MAKERS[edit.what](network, old, edit)
        near = next(old.parameters(), None)
        stand(network.host, site.path, new if near is None else new.to(device=near.device, dtype=near.dtype))


def _check_head(network: Network, edit: Replace) -> None:
    asked = f"{edit.label} in head"
    if edit.what not in ("head", "pooling"):
        raise TrunkError(asked, f"the head has no {edit.what} to replace", "a stage of the trunk: at=...")
    if type(network.head) not in (LinearHead, MlpHead):
        raise TrunkError(asked, f"the head is a {type(network.head).__name__}", "a classifier with a linear head")
    if edit.pooling in TOKEN_POOLINGS and network.trunk.pooling == "none":
        raise TrunkError(asked, "the host pools its features itself", "replace(pooling=avg) or replace(pooling=max)")
    if edit.pooling in ("avg", "max") and not _global_pools(network):
        raise TrunkError(
            asked,
            "no pooling layer over whole maps stands outside the stages",
            f"one of {', '.join(TOKEN_POOLINGS)}, where features are tokens",
        )


def _replace_head(network: Network, edit: Replace) -> None:
    old: Any = network.head
    if edit.pooling in TOKEN_POOLINGS:
        network.trunk.pooling = old.pooling = edit.pooling  # type: ignore[assignment]
        return
    if edit.pooling:
        for path in _global_pools(network):
            network.host.set_submodule(path, _global_pool(network.host.get_submodule(path), edit.pooling))
        return
    shape = old.linear.in_features, old.linear.out_features, old.pooling, old.dropout.p
    new = MlpHead(*shape) if edit.head == "mlp" else LinearHead(*shape)
    if edit.head == "mlp":  # the linear layer stays the one that was learned
        new.linear = old.linear
    network.head = new.to(device=old.linear.weight.device, dtype=old.linear.weight.dtype).train(old.training)


# -- what is found in a stage ------------------------------------------------------------------------------------------------------------


def _parts(network: Network, index: int) -> Iterator[tuple[str, nn.Module]]:
    for path in network.trunk.stages[index].modules:
        for name, part in network.host.get_submodule(path).named_modules():
            yield f"{path}.{name}" if name else path, part


def _activations(network: Network, index: int, edit: Replace) -> Iterator[str]:
    for path, part in _parts(network, index):
        is_one = type(part).__module__ in ACTIVATION_PLACES and not isinstance(part, NOT_ACTIVATIONS)
        if is_one and next(part.children(), None) is None and type(part) is not type(ACTIVATIONS[edit.activation]()):
            yield path


def _norms(network: Network, index: int, edit: Replace) -> Iterator[str]:
    for path, part in _parts(network, index):
        is_map = type(part) is nn.BatchNorm2d
        if SAME_NORM.get(edit.norm, "-") in type(part).__name__:  # transformers has RMS norms of its own
            continue
        is_token = is_norm(part) and getattr(part, "weight", None) is not None and "2d" not in type(part).__name__ and not is_map
        if (edit.norm == "group" and is_map) or (edit.norm != "group" and is_token and part.get_parameter("weight").ndim == 1):
            yield path


def _pools(network: Network, index: int, edit: Replace) -> Iterator[str]:
    kinds = {"avg": nn.MaxPool2d, "max": nn.AvgPool2d}
    for path, part in _parts(network, index):
        if edit.pooling in kinds and isinstance(part, kinds[edit.pooling]):
            yield path


def _block(network: Network, index: int, edit: Replace) -> Iterator[str]:
    trunk, stage = network.trunk, network.trunk.stages[index]
    asked = f"{edit.label} in {stage.name}"
    if edit.block != "fresh" and edit.block not in trunk.stage_names:
        raise TrunkError(asked, f"the model has no stage {edit.block!r}", suggest(edit.block, [*trunk.stage_names, "fresh"]))
    source = stage if edit.block == "fresh" else trunk.stages[trunk.stage_names.index(edit.block)]
    if len(stage.modules) != 1 or len(source.modules) != 1 or stage.extras or source.extras:
        raise TrunkError(asked, "not both of them are one module", "one of the blocks")
    seen = passages(trunk, [*stage.modules, *source.modules])
    here, there = seen.get(stage.modules[0]), seen.get(source.modules[0])
    if here is None or there is None or (here.entered, here.left, here.dtype) != (there.entered, there.left, there.dtype):
        raise TrunkError(asked, f"{source.name} takes or gives another shape than {stage.name}", "a block of the same shapes")
    yield stage.modules[0]


FINDERS: dict[str, Callable[[Network, int, Replace], Iterator[str]]] = {
    "activation": _activations,
    "norm": _norms,
    "pooling": _pools,
    "block": _block,
}

# -- what takes its place ----------------------------------------------------------------------------------------------------------------


def _new_norm(network: Network, old: nn.Module, edit: Replace) -> nn.Module:
    scale = old.get_parameter("weight")
    eps = next((value for name in ("eps", "variance_epsilon") if isinstance(value := getattr(old, name, None), float)), 1e-6)
    made: nn.Module
    if edit.norm == "group":
        groups = next(count for count in range(min(MOST_GROUPS, len(scale)), 0, -1) if len(scale) % count == 0)
        made = nn.GroupNorm(groups, len(scale), eps)
    else:
        made = nn.RMSNorm(len(scale), eps) if edit.norm == "rms" else nn.LayerNorm(len(scale), eps)
    with torch.no_grad():
        made.get_parameter("weight").copy_(scale)
        shift = getattr(old, "bias", None)
        if isinstance(shift, nn.Parameter) and getattr(made, "bias", None) is not None:
            made.get_parameter("bias").copy_(shift)
    return made


def _new_pool(network: Network, old: Any, edit: Replace) -> nn.Module:
    kind: Any = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}[edit.pooling]
    return kind(old.kernel_size, stride=old.stride, padding=old.padding, ceil_mode=old.ceil_mode)


def _new_block(network: Network, old: nn.Module, edit: Replace) -> nn.Module:
    if edit.block != "fresh":
        trunk = network.trunk
        source = trunk.host.get_submodule(trunk.stages[trunk.stage_names.index(edit.block)].modules[0])
        return _numbered_as(copy.deepcopy(source), old)
    block = copy.deepcopy(old)
    part: Any
    for part in block.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
        elif hasattr(part, "nf"):  # transformers' Conv1D
            nn.init.normal_(part.get_parameter("weight"), std=0.02)
            nn.init.zeros_(part.get_parameter("bias"))
    return block


def _numbered_as(block: nn.Module, old: nn.Module) -> nn.Module:
    """A decoder's layer knows its number: the copy takes that of the layer in whose place it stands."""
    number = next((part.layer_idx for part in old.modules() if type(getattr(part, "layer_idx", None)) is int), None)
    for part in block.modules() if number is not None else ():
        if hasattr(part, "layer_idx"):
            part.layer_idx = number  # type: ignore[assignment]
    return block


MAKERS: dict[str, Callable[[Network, Any, Replace], nn.Module]] = {
    "activation": lambda network, old, edit: ACTIVATIONS[edit.activation](),
    "norm": _new_norm,
    "pooling": _new_pool,
    "block": _new_block,
}


def _global_pools(network: Network) -> list[str]:
    """Pooling over whole maps, outside the stages."""
    inside = {id(part) for at in range(len(network.trunk.stages)) for module in network.stage_modules(at) for part in module.modules()}
    kinds = ("AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "SelectAdaptivePool2d")
    named = [(path, part) for path, part in network.host.named_modules() if type(part).__name__ in kinds and id(part) not in inside]
    return [path for path, _ in named if not any(path.startswith(other + ".") for other, _ in named)]


def _global_pool(old: Any, pooling: str) -> nn.Module:
    if type(old).__name__ != "SelectAdaptivePool2d":
        return (nn.AdaptiveAvgPool2d if pooling == "avg" else nn.AdaptiveMaxPool2d)(old.output_size)
    from timm.layers import SelectAdaptivePool2d

    return SelectAdaptivePool2d(1, pool_type=pooling, flatten=not isinstance(old.flatten, nn.Identity))
