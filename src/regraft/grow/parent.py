"""The network that a child goes on from: the parent's own, with room for new classes and none for those that go."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from regraft import lineage
from regraft.errors import TrunkError
from regraft.serve import rebuild
from regraft.surgery import edits, statistics
from regraft.surgery.edits import EditRecord
from regraft.surgery.specs import Statistics
from regraft.surgery.statistics import StatisticsHead
from regraft.trunk.network import HEAD, Network
from regraft.tune.job import Job


@dataclass(eq=False, kw_only=True)
class GrownJob(Job):
    """A job whose network is the parent's; ``edits`` are those that stand in what ``network`` last returned.

    ``spec``: the head of statistics that the child has, ``None`` for a linear one. ``merging``: edits of the parent are folded into its weights
    first, so that a plan can place its own. ``first``: the parent as it was rebuilt for the outline, for the first network that is asked for.
    """

    store: lineage.Store
    parent: lineage.Generation
    spec: Statistics | None = None
    merging: bool = False
    first: rebuild.Rebuilt | None = None

    def network(self, *, dropout: float, seed: int, fresh: bool = False) -> Network:
        torch.manual_seed(seed)
        rebuilt, self.first = self.first or rebuild.network(self.store, self.parent.digest), None
        network, old = rebuilt.network, list(rebuilt.classes)
        records = [EditRecord.from_json(row) for row in rebuilt.manifest["edits"]]
        standing = [record for record in records if not isinstance(record.edit, Statistics)]
        self.edits = tuple(record.json() for record in (_merged(network, standing) if self.merging else standing))
        network.head = self._head(network, old, dropout)
        return network

    def _head(self, network: Network, old: list[str], dropout: float) -> nn.Module:
        """Classes are carried by name: a known one keeps its row, a new one gets a fresh one."""
        classes, head = self.dataset.classes, network.head
        if self.spec is not None and isinstance(head, StatisticsHead) and head.spec == self.spec:
            return head
        made = self.task.head(network.trunk, len(classes), dropout)
        if self.spec is not None:
            network.head = made
            statistics.stand(network, self.spec)
            return network.head
        if isinstance(head, StatisticsHead):  # its rows read other features than a linear head's
            return made
        if not isinstance(getattr(head, "linear", None), nn.Linear):
            raise TrunkError(f"grow {self.parent}", f"its head is a {type(head).__name__}", "a generation whose head is linear")
        return carried(head, made, old, classes)


@torch.no_grad()
def carried(head: nn.Module, made: nn.Module, old: list[str], classes: tuple[str, ...]) -> nn.Module:
    """``made`` with the rows that ``head`` has for those of ``classes`` that it knows."""
    theirs, ours = head.get_submodule("linear").state_dict(), made.get_submodule("linear").state_dict()
    for place, name in enumerate(classes):
        if name in old:
            for key, rows in ours.items():
                rows[place] = theirs[key][old.index(name)]
    return made


def _merged(network: Network, records: list[EditRecord]) -> list[EditRecord]:
    """Fold what can be folded; returns what stands on."""
    left = []
    for record in records:
        try:
            edits.merge(network, record)
        except TrunkError:  # no linear edit: it stays where it stands
            left.append(record)
    return left


def statistics_of(generation: lineage.Generation) -> Statistics | None:
    """The head of statistics that a generation has, if it has one."""
    records = [EditRecord.from_json(row) for row in generation.manifest["edits"] if row["stage"] == HEAD]
    return next((record.edit for record in records if isinstance(record.edit, Statistics)), None)
