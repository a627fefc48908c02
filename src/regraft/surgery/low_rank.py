"""LoRA updates of several models as one LoRA, by peft's ``add_weighted_adapter``: the sum of weighted updates, exactly, of the ranks' sum.

    w1 B1 A1 + w2 B2 A2 = [B1 B2] [w1 A1; w2 A2]

The updates need not have been learnt by one model: those that stand over the same frozen weights may come together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch

from regraft.surgery import edits
from regraft.surgery.edits import EditRecord
from regraft.surgery.lora import exactly, skeleton
from regraft.surgery.specs import Lora
from regraft.trunk.network import Network

LEARNT, MERGED = "default", "merged"
SUMMABLE = ("plain", "rslora")
"""Variants whose update is a product of two factors and nothing else."""
Carrier = tuple[Network, Sequence[EditRecord]]
"""A network with its LoRA standing, and the records of that."""


def is_summable(carriers: Sequence[Carrier]) -> bool:
    """Do they carry LoRA alike but for the rank: the same kind at the same places, over the same bytes?"""
    first, *others = [_places(records) for _, records in carriers]
    if not first or any(other != first for other in others):
        return False
    if any(not isinstance(r.edit, Lora) or r.edit.variant not in SUMMABLE for _, records in carriers for r in records):
        return False
    bases = [[_base(network, path) for _, path in first] for network, _ in carriers]
    return all(base.ndim == 2 for base in bases[0]) and all(
        torch.equal(a, b) for rest in bases[1:] for a, b in zip(bases[0], rest, strict=True)
    )


def stand_sum(network: Network, carriers: Sequence[Carrier], weights: Sequence[float]) -> list[EditRecord]:
    """Stand the weighted sum of the carriers' updates in ``network``, whose layers there are given the weights that the updates stand over.

    ``network``: plain at those places. The new edit has the sum of the ranks and scaling 1. Returns its records.
    """
    made = []
    for number, record in enumerate(carriers[0][1]):
        members = [(source, records[number]) for source, records in carriers]
        paths = [site.path for site in record.sites]
        for path in paths:
            layer: Any = network.host.get_submodule(path)
            with torch.no_grad():
                layer.weight.copy_(_base(carriers[0][0], path))
        factors = _summed(network, paths, members, weights)
        rank = sum(_edit(one).rank for _, one in members)
        edit = replace(_edit(record), rank=rank, alpha=float(rank), variant="plain")
        made.append(edits.apply(network, network.stage_names.index(record.stage), edit))
        for path, (down, up) in factors.items():
            standing: Any = network.host.get_submodule(path)
            with torch.no_grad():
                standing.lora_A[LEARNT].weight.copy_(down)
                standing.lora_B[LEARNT].weight.copy_(up)
    return made


def _summed(
    network: Network, paths: Sequence[str], members: Sequence[tuple[Network, EditRecord]], weights: Sequence[float]
) -> dict[str, tuple[Any, Any]]:
    """Path -> the factors (A, B) of the sum, which peft makes on a bare tree of the layers."""
    from peft import LoraConfig, LoraModel

    tree = skeleton(network.host, paths)
    names = [f"member{index}" for index in range(len(members))]
    configs: dict[str, Any] = {}
    for name, (_, one) in zip(names, members, strict=True):
        edit, alpha = _edit(one), cast(Any, _edit(one).alpha)  # peft says int and takes any number
        configs[name] = LoraConfig(target_modules=exactly(paths), r=edit.rank, lora_alpha=alpha, use_rslora=edit.variant == "rslora")
    model: Any = LoraModel(tree, configs[names[0]], names[0])
    for name in names[1:]:
        model.peft_config[name] = configs[name]
        model.inject_adapter(tree, name)
    for name, (source, _) in zip(names, members, strict=True):
        for path in paths:
            _copy(source, path, tree.get_submodule(path), name)
    model.add_weighted_adapter(names, [float(weight) for weight in weights], MERGED, combination_type="cat")
    layers: list[tuple[str, Any]] = [(path, tree.get_submodule(path)) for path in paths]
    return {path: (layer.lora_A[MERGED].weight.detach(), layer.lora_B[MERGED].weight.detach()) for path, layer in layers}


@torch.no_grad()
def _copy(source: Network, path: str, layer: Any, name: str) -> None:
    learnt: Any = source.host.get_submodule(path)
    layer.lora_A[name].weight.copy_(learnt.lora_A[LEARNT].weight)
    layer.lora_B[name].weight.copy_(learnt.lora_B[LEARNT].weight)


def _places(records: Sequence[EditRecord]) -> list[tuple[str, str]]:
    return [(record.stage, site.path) for record in records for site in record.sites]


def _base(network: Network, path: str) -> torch.Tensor:
    layer: Any = network.host.get_submodule(path)
    return layer.base_layer.weight.detach()


def _edit(record: EditRecord) -> Lora:
    assert isinstance(record.edit, Lora)
    return record.edit
