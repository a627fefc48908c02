"""How far one generation lies from another, stage by stage: ||theta_b - theta_a|| / ||theta_a||, from the stored tensors."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from regraft.lineage.record import Generation
from regraft.lineage.store import Store
from regraft.serve import rebuild
from regraft.serve.rebuild import Rebuilt
from regraft.surgery import edits
from regraft.surgery.edits import EditRecord
from regraft.surgery.quantize import dequantized
from regraft.trunk.network import HEAD


def between(store: Store, start: Generation, end: Generation) -> dict[str, float | None]:
    """Stage -> relative distance, for every stage of either; ``None`` where only one of them has it, or nothing in it can be compared.

    Edits that are linear (LoRA and its relatives) count as what they do to the weights that they stand over; others, such as adapters, add numbers
    that have no start, and are left out. Of heads with different classes the rows of those that both know are compared.
    """
    one, other = (_folded(rebuild.network(store, each.digest)) for each in (start, end))
    before, after = (_stages(each) for each in (one, other))
    found: dict[str, float | None] = {}
    for stage in dict.fromkeys([*after, *before]):
        pairs = [(before[stage][n], after[stage][n]) for n in after.get(stage, {}) if n in before.get(stage, {})]
        if stage == HEAD and one.classes != other.classes:
            pairs = [_shared_rows(pair, one.classes, other.classes) for pair in pairs]
        found[stage] = _distance([(a, b) for a, b in pairs if a.shape == b.shape])
    return found


def _folded(rebuilt: Rebuilt) -> Rebuilt:
    dequantized(rebuilt.network)
    for document in rebuilt.manifest["edits"]:
        record = EditRecord.from_json(document)
        if record.edit.is_linear:
            edits.merge(rebuilt.network, record)
    return rebuilt


def _stages(rebuilt: Rebuilt) -> dict[str, dict[str, Tensor]]:
    network = rebuilt.network
    return {stage: {name: p.detach() for name, p in network.stage_parameters(index)} for index, stage in enumerate(network.stage_names)}


def _shared_rows(pair: tuple[Tensor, Tensor], classes: Sequence[str], others: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The rows of classes that both know, in one order; tensors without a row for each class as they are."""
    a, b = pair
    if a.ndim == 0 or b.ndim == 0 or len(a) != len(classes) or len(b) != len(others):
        return pair
    shared = [name for name in classes if name in others]
    return a[[classes.index(name) for name in shared]], b[[others.index(name) for name in shared]]


def _distance(pairs: Sequence[tuple[Tensor, Tensor]]) -> float | None:
    moved = sum(float((b.double() - a.double()).square().sum()) for a, b in pairs)
    size = sum(float(a.double().square().sum()) for a, _ in pairs)
    return (moved / size) ** 0.5 if size else (0.0 if pairs and not moved else None)
