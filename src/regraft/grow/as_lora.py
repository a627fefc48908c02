"""A merge of LoRA models kept as LoRA: stored as small as they are, where the sum of their updates is all that the merge changed below the head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from regraft import lineage
from regraft.grow.methods import Method
from regraft.serve import rebuild
from regraft.surgery import edits, low_rank
from regraft.surgery.average import State
from regraft.surgery.edits import EditRecord
from regraft.surgery.low_rank import Carrier
from regraft.trunk.network import Network

ATOL = 1e-5


def weights_of(method: Method, num_members: int) -> list[float] | None:
    """How much of each model's update a linear method takes; ``None`` for those that are not linear."""
    if method.name == "wise_ft":
        return [1 - method.options["alpha"], method.options["alpha"]]
    if method.name == "task_arithmetic":
        return [method.options["scale"]] * num_members
    return [1 / num_members] * num_members if method.is_average else None


def stand_as_lora(
    network: Network, store: lineage.Store, members: Sequence[lineage.Generation], weights: Sequence[float]
) -> list[EditRecord]:
    """Put LoRA in the place of what the members' LoRA did to the weights of ``network``, the merge, and return its records; none, and the network as it
    was, where that is not the same within 1e-5, or not smaller."""
    carriers, shares = _carriers(store, members, weights)
    if not carriers or not low_rank.is_summable(carriers):
        return []
    dense = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    if not _is_smaller(carriers, dense):
        return []
    records = low_rank.stand_sum(network, carriers, shares)
    if _is_equal(network, records, dense):
        return records
    for record in records:
        edits.undo(network, record)
    network.load_state_dict(dense)
    return []


def _carriers(store: lineage.Store, members: Sequence[lineage.Generation], weights: Sequence[float]) -> tuple[list[Carrier], list[float]]:
    """The members that carry linear edits, rebuilt with these standing, and their weights. The others stand at the weights below."""
    found: list[Carrier] = []
    shares: list[float] = []
    for member, weight in zip(members, weights, strict=True):
        records = [record for document in member.manifest["edits"] if (record := EditRecord.from_json(document)).edit.is_linear]
        if records:
            found.append((rebuild.network(store, member.digest).network, records))
            shares.append(weight)
    return found, shares


def _is_smaller(carriers: Sequence[Carrier], dense: State) -> bool:
    places = [site.path for record in carriers[0][1] for site in record.sites]
    factors = sum(network.get_parameter(name).numel() for network, records in carriers for record in records for name in record.parameters)
    return factors < sum(dense[f"host.{path}.weight"].numel() for path in places)


@torch.no_grad()
def _is_equal(network: Network, records: Sequence[EditRecord], dense: State) -> bool:
    layers: list[tuple[str, Any]] = [(site.path, network.host.get_submodule(site.path)) for record in records for site in record.sites]
    effective: list[tuple[Tensor, Tensor]] = [
        (layer.base_layer.weight + layer.get_delta_weight(low_rank.LEARNT), dense[f"host.{path}.weight"]) for path, layer in layers
    ]
    return all(torch.allclose(one, other, atol=ATOL, rtol=0) for one, other in effective)
