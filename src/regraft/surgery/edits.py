"""Edits: recorded, reversible changes of a network's stages.

    record = apply(network, index, Lora(rank=8))      identity at first
    undo(network, record)                             the same modules, the same bytes
    merge(network, record)                            folded into the base weights, where the edit is linear
    rebuild(network, records)                         the same modules on a fresh host, ready for ``load_state_dict``

A kind of edit is a frozen spec and three functions; others come in through the entry point group ``regraft.edits``. One stage
carries one edit, as one cell of the grid holds one. Edits of the structure (``surgery.structure``) are made before the grid: any
number of them, each checked on a probe before it stands, and taken back in reverse order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from torch import Tensor

from regraft.errors import TrunkError, suggest
from regraft.surgery import adapter, deepen, drop, insert, lora, prune, quantize, statistics, swap, widen
from regraft.surgery.changes import Changes, watched
from regraft.surgery.flow import answers, probe_inputs
from regraft.surgery.sites import Site, is_edited, uncover
from regraft.surgery.specs import Edit, Statistics, edit_from_json, edit_json
from regraft.trunk.network import HEAD, Network
from regraft.trunk.trunk import check_cover


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of edit is done.

    ``find(network, index, edit)``: the sites in that stage, an error where there are none.
    ``install(network, sites, edit)``: stands modules there that keep what they stand over as ``base_layer``.
    ``fold(network, sites)``: folds the edit into the base layers and leaves those; ``None`` where that cannot be done.
    ``spec``: the frozen dataclass that a cell of the grid holds, with ``kind``, ``label``, ``is_linear`` and ``added_parameters``;
    given by edits that come in through an entry point, so that their records can be read.
    ``restore(network, sites)``: takes a structural edit back in a network that was rebuilt; ``None`` where that needs what was taken out.
    """

    find: Callable[[Network, int, Any], tuple[Site, ...]]
    install: Callable[[Network, Sequence[Site], Any], None]
    fold: Callable[[Network, Sequence[Site]], None] | None = None
    spec: type | None = None
    restore: Callable[[Network, Sequence[Site]], None] | None = None


REGISTRY: dict[str, Kind] = {
    "lora": Kind(lora.find, lora.install, lora.fold),
    "adapter": Kind(adapter.find, adapter.install),
    "drop": Kind(drop.find, drop.install),
    "insert": Kind(insert.find, insert.install, restore=insert.remove),
    "replace": Kind(swap.find, swap.install),
    "prune": Kind(prune.find, prune.install),
    "widen": Kind(widen.find, widen.install),
    "deepen": Kind(deepen.find, deepen.install),
    "quantize": Kind(quantize.find, quantize.install),
}
TOLERANCE = 1e-4
"""How far an edit that keeps the function may move a logit of the probe, relative to the largest; rounding alone moves them by less."""


@dataclass(frozen=True, slots=True)
class EditRecord:
    """What was done to one stage. ``parameters``: state-dict names of those that the edit brought, all of them trainable. ``changes``: how
    to take a structural edit back, known only where it was applied."""

    stage: str
    edit: Edit
    sites: tuple[Site, ...]
    parameters: tuple[str, ...]
    changes: Changes | None = field(default=None, compare=False, repr=False)

    def json(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "edit": edit_json(self.edit),
            "sites": [site.json() for site in self.sites],
            "parameters": list(self.parameters),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> EditRecord:
        edit = edit_from_json(document["edit"])
        if edit is None:
            raise TrunkError(
                "an edit's record", f"that of {document['stage']} names no edit", "read the record from the generation's manifest"
            )
        return cls(document["stage"], edit, tuple(Site(**site) for site in document["sites"]), tuple(document["parameters"]))


def apply(network: Network, index: int, edit: Edit) -> EditRecord:
    """Stand ``edit`` in stage ``index``. The host stays the same object; a failure leaves it as it was.

    Random factors come from torch's global generator: seed it first. ``requires_grad`` of what was there stays as it was.
    """
    if is_structural(edit):
        return _operate(network, index, edit)
    if isinstance(edit, Statistics) and index == len(network.trunk.stages):
        return EditRecord(HEAD, edit, (), statistics.stand(network, edit))
    if not 0 <= index < len(network.trunk.stages):
        raise TrunkError(f"{edit.label} in stage {index}", f"edits stand in the trunk's stages, 0 to {len(network.trunk.stages) - 1}",
                         "choose one of them; the head trains as it is")  # fmt: skip
    stage = network.trunk.stages[index]
    if any(is_edited(network.host, path) for path in stage.modules):
        raise TrunkError(f"{edit.label} in {stage.name}", f"{stage.name} carries an edit already", "merge or undo that one first")
    kind = _kind(edit.kind)
    sites = kind.find(network, index, edit)
    before = {id(parameter) for parameter in network.parameters()}
    kind.install(network, sites, edit)
    check_cover(network.trunk)
    added = tuple(name for name, parameter in network.stage_parameters(index) if id(parameter) not in before)
    return EditRecord(stage.name, edit, sites, added)


def undo(network: Network, record: EditRecord) -> None:
    """Take the edit off: the same module objects are back in their places. Training of the base weights is not undone."""
    if is_structural(record.edit):
        return _take_back(network, record)
    _check_stands(network, record, "undo")
    for site in record.sites:
        uncover(network.host, site.path)
    return None


def merge(network: Network, record: EditRecord) -> None:
    """Fold the edit into the base weights; the stage computes the same within 1e-5 (fp32) and is plain again."""
    fold = _kind(record.edit.kind).fold
    if fold is None:
        why = "it is the structure itself" if is_structural(record.edit) else "it is not linear, so no base weight can take it up"
        raise TrunkError(f"merge {record.edit.label} in {record.stage}", why,
                         "keep it where it stands, or undo it")  # fmt: skip
    _check_stands(network, record, "merge")
    fold(network, record.sites)


def rebuild(network: Network, records: Iterable[EditRecord]) -> None:
    """Stand the recorded edits in a network of the same architecture. Their values come with ``load_state_dict``."""
    for record in records:
        if isinstance(record.edit, Statistics):
            statistics.stand(network, record.edit)
            continue
        if record.stage not in network.stage_names:
            raise TrunkError(f"rebuild {record.edit.label} in {record.stage}", "the model has no such stage",
                             suggest(record.stage, network.stage_names))  # fmt: skip
        _kind(record.edit.kind).install(network, record.sites, record.edit)


def is_structural(edit: Edit) -> bool:
    """Does it change the structure that plans are made over, rather than stand in a cell?"""
    return bool(getattr(edit, "is_structural", False))


def _operate(network: Network, index: int, edit: Edit) -> EditRecord:
    """Apply a structural edit: checked before, tried on a probe after, taken back where it does not hold."""
    names, kind = network.stage_names, _kind(edit.kind)
    if not 0 <= index < len(names) or (index == len(names) - 1 and edit.kind != "replace"):
        raise TrunkError(
            f"{edit.label} in stage {index}", f"it is made in the trunk's stages, 0 to {len(names) - 2}", f"one of {', '.join(names[:-1])}"
        )
    if edit.kind != "drop" and any(is_edited(network.host, path) for path in _paths(network, index)):
        raise TrunkError(f"{edit.label} in {names[index]}", f"{names[index]} carries an edit already", "merge or undo that one first")
    inputs = probe_inputs(network.trunk)
    before, known = answers(network, inputs), {id(parameter) for parameter in network.parameters()}
    sites = kind.find(network, index, edit)
    with watched(network) as changes:
        kind.install(network, sites, edit)
        check_cover(network.trunk)
        _check_answers(edit, names[index], before, answers(network, inputs))
    rows = range(len(network.stage_names))
    added = tuple(name for row in rows for name, parameter in network.stage_parameters(row) if id(parameter) not in known)
    return EditRecord(names[index], edit, sites, added, changes)


def _paths(network: Network, index: int) -> tuple[str, ...]:
    return network.trunk.stages[index].modules if index < len(network.trunk.stages) else ()


def _check_answers(edit: Edit, stage: str, before: Tensor, after: Tensor) -> None:
    if before.shape != after.shape or not bool(after.isfinite().all()):
        raise TrunkError(f"{edit.label} in {stage}", f"the model then answers {tuple(after.shape)} in place of {tuple(before.shape)}, or with no numbers",
                         "another stage")  # fmt: skip
    moved = float((before - after).abs().max() / before.abs().max().clamp(min=1.0))
    if edit.keeps_function and moved > TOLERANCE:  # type: ignore[union-attr]
        raise TrunkError(f"{edit.label} in {stage}", f"it would not keep the function there: an answer moves by {moved:.1e}",
                         f"insert(adapter, after={stage}), which starts as the identity anywhere")  # fmt: skip


def _take_back(network: Network, record: EditRecord) -> None:
    asked, restore = f"undo {record.edit.label} in {record.stage}", _kind(record.edit.kind).restore
    if record.changes is not None:
        record.changes.undo(asked)
    elif restore is not None:
        restore(network, record.sites)
    else:
        raise TrunkError(asked, "this record was read from a manifest; what the edit took out is in the generation before it",
                         "regraft edit NAME --undo")  # fmt: skip


@cache
def _installed() -> dict[str, Kind]:
    return {point.name: point.load() for point in entry_points(group="regraft.edits") if point.name not in REGISTRY}


def _kind(name: str) -> Kind:
    known = REGISTRY if name in REGISTRY else {**REGISTRY, **_installed()}
    if name not in known:
        raise TrunkError(f"an edit of kind {name!r}", "no such kind is registered", suggest(name, known))
    return known[name]


def _check_stands(network: Network, record: EditRecord, verb: str) -> None:
    missing = [site.path for site in record.sites if not is_edited(network.host, site.path)]
    if missing:
        raise TrunkError(f"{verb} {record.edit.label} in {record.stage}", f"no edit stands at {missing[0]}",
                         "it was undone or merged before")  # fmt: skip
