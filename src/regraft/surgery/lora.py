"""LoRA and its relatives over linear layers and convolutions, made by peft.

    variant   what stands over a layer W                             fresh edit              paper
    plain     W x + (alpha / rank) B A x                             identity, bit for bit   2106.09685
    rslora    W x + (alpha / sqrt rank) B A x                        identity, bit for bit   2312.03732
    dora      the same, its direction and its magnitude apart        identity to rounding    2402.09353
    pissa     A, B start as W's principal part P, which is taken off identity to rounding    2404.02948
    ia3       one scale for each output                              identity, bit for bit   2205.05638

peft works on a skeleton: a bare module tree that holds the chosen layers alone, under their full paths. The host is not touched
before peft is done, its other parameters keep their flags, and two stages edited one after the other do not see each other.
PiSSA would write W - P into the base weights. Here they stay as they are, byte for byte, so that what is frozen is stored once:
P is a second peft adapter, of negative scale, whose factors are buffers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

from regraft.errors import TrunkError
from regraft.surgery.quantize import QuantizedLinear
from regraft.surgery.sites import Site, stand, uncover
from regraft.surgery.specs import Lora
from regraft.trunk.layers import linear_layers
from regraft.trunk.network import Network
from regraft.trunk.select import select_modules

if TYPE_CHECKING:
    from peft import PeftConfig

LEARNT, START = "default", "start"
LORA_OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "pissa": {"init_lora_weights": "pissa_niter_16"},
}


def find(network: Network, index: int, edit: Lora) -> tuple[Site, ...]:
    """The layers of stage ``index`` that ``edit.where`` means."""
    layers = linear_layers(network.host, network.trunk.stages)[index]
    if not layers:
        name = network.stage_names[index]
        raise TrunkError(f"{edit.label} in {name}", f"{name} has no linear layer and no convolution that can carry it",
                         "choose other stages: freeze(below=...)+lora, or surgical(stages=...)+lora")  # fmt: skip
    chosen = set(select_modules([path for path, _, _ in layers], edit.where))
    return tuple(Site(path, out) for path, _, out in layers if path in chosen)


def install(network: Network, sites: Sequence[Site], edit: Lora) -> None:
    """Stand peft's layers over those at ``sites``."""
    paths = [site.path for site in sites]
    tree = skeleton(network.host, paths)
    with _base_untouched(tree):
        _inject(tree, _config(edit, tree, paths), LEARNT)
        if edit.variant in COMPLETIONS:
            COMPLETIONS[edit.variant](tree, edit, paths)
    for path in paths:
        stand(network.host, path, tree.get_submodule(path))


def fold(network: Network, sites: Sequence[Site]) -> None:
    """Merge into the base weights, in fp32 equal to the unmerged layer within 1e-5, and leave the plain layers there. Raises ``TrunkError`` where they
    are quantised, as they cannot take it up."""
    for site in sites:
        if isinstance(network.host.get_submodule(site.path).get_submodule("base_layer"), QuantizedLinear):
            raise TrunkError(f"merge LoRA at {site.path}", "the weights under it are quantised and would round it away",
                             "regraft export --to hf, which writes plain weights")  # fmt: skip
    for site in sites:
        layer: Any = network.host.get_submodule(site.path)
        layer.merge(adapter_names=list(layer.active_adapters))
        uncover(network.host, site.path)


def skeleton(host: nn.Module, paths: Sequence[str]) -> nn.Module:
    """Empty modules in the shape of the host's tree, with the host's own layers at ``paths``."""
    root = nn.Module()
    for path in paths:
        node = root
        *parents, leaf = path.split(".")
        for name in parents:
            if name not in node._modules:
                node.add_module(name, nn.Module())
            node = node.get_submodule(name)
        node.add_module(leaf, host.get_submodule(path))
    return root


def _config(edit: Lora, skeleton: nn.Module, paths: Sequence[str]) -> PeftConfig:
    from peft import IA3Config, LoraConfig

    transposed = all(type(skeleton.get_submodule(path)).__name__ == "Conv1D" for path in paths)
    options: dict[str, Any] = {"target_modules": exactly(paths), "fan_in_fan_out": transposed}
    if edit.variant not in LORA_OPTIONS:
        return IA3Config(**options, feedforward_modules=[])
    return LoraConfig(**options, r=edit.rank, lora_alpha=edit.alpha, lora_dropout=edit.dropout, **LORA_OPTIONS[edit.variant])  # type: ignore[arg-type]


def exactly(paths: Sequence[str]) -> str:
    """As a pattern: given a list, peft would take every module whose path ends like one of them."""
    return "|".join(re.escape(path) for path in paths)


def _inject(skeleton: nn.Module, config: PeftConfig, name: str) -> None:
    from peft import inject_adapter_in_model

    if next(skeleton.parameters(), None) is None:  # quantised layers have none, by which peft finds the device
        skeleton.hf_device_map = {"": next(skeleton.buffers()).device}  # type: ignore[assignment]
    try:
        inject_adapter_in_model(config, skeleton, adapter_name=name)
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        raise TrunkError(f"edit {str(config.target_modules).replace(chr(92), '').replace('|', ', ')} by peft", str(error),  # type: ignore[attr-defined]
                         "another variant, a smaller rank, or other layers (where=...)") from error  # fmt: skip
    del skeleton.peft_config  # else peft takes a second injection for an accident


@contextmanager
def _base_untouched(skeleton: nn.Module) -> Iterator[None]:
    """Whatever peft does to the base parameters, their bytes and flags come out as they went in."""
    before = [(p, p.data, p.data.clone(), p.requires_grad) for p in skeleton.parameters()]
    try:
        yield
    finally:
        for parameter, storage, values, flag in before:
            parameter.data = storage
            parameter.data.copy_(values)
            parameter.requires_grad_(flag)


def _start_from_principal_part(skeleton: nn.Module, edit: Lora, paths: Sequence[str]) -> None:
    """Take off what PiSSA's factors start as, by a second adapter of opposite sign that never learns."""
    from peft import LoraConfig

    config = LoraConfig(target_modules=exactly(paths), r=edit.rank, lora_alpha=-edit.alpha, init_lora_weights=False)  # type: ignore[arg-type]
    config.fan_in_fan_out = type(skeleton.get_submodule(paths[0]).get_submodule("base_layer")).__name__ == "Conv1D"
    _inject(skeleton, config, START)
    for path in paths:
        layer: Any = skeleton.get_submodule(path)
        for factors in (layer.lora_A, layer.lora_B):
            values = factors[LEARNT].weight.detach().clone()
            del factors[START].weight
            factors[START].register_buffer("weight", values)
        layer.set_adapter([LEARNT, START])


COMPLETIONS: dict[str, Callable[[nn.Module, Lora, Sequence[str]], None]] = {"pissa": _start_from_principal_part}
