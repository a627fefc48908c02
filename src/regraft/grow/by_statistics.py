"""By statistics: what is new is added to the sums that the head is made of, what is to be forgotten is taken off them. No gradient step.

Examples may come in any order and go again: the head depends on which are summed, and on nothing else.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from regraft.cache.arrays import KeptArrays
from regraft.cache.key import steady
from regraft.data.dataset import Split
from regraft.errors import RequestError
from regraft.evaluate import sums as additive
from regraft.evaluate.sums import Sums
from regraft.grow.execution import Growing
from regraft.grow.memory import Row
from regraft.surgery.edits import EditRecord
from regraft.surgery.statistics import StatisticsHead
from regraft.train.history import History, PhaseStart
from regraft.trunk.network import HEAD, Network
from regraft.tune import keeping, summed
from regraft.tune.execute import Measured
from regraft.tune.generation import Generation
from regraft.tune.kept import FEATURES, Kept


@dataclass(eq=False, kw_only=True)
class Summing(Growing):
    """``start``: examples of the known classes to sum first, where the parent's head is no sum; ``taken``: to take off again where no feature
    of them was kept (features, by class)."""

    start: list[Kept] = field(default_factory=list)
    taken: list[Kept] = field(default_factory=list)
    total: Sums | None = None

    def go(self) -> Generation:
        with ExitStack() as self._steady:
            return super().go()

    def trained(self) -> tuple[Network, History, dict[str, Measured]]:
        began = time.perf_counter()
        network = self.job.network(dropout=0.0, seed=self.plan.settings.seed)
        self._steady.enter_context(steady(network))
        head = network.head
        assert isinstance(head, StatisticsHead)
        self.total = self.summed(network, head)
        solved = additive.solve(self.total)
        head.take(solved.weights, solved.strength)
        phase = PhaseStart(index=0, name=self.plan.phases[0].name, solver="closed_form", steps=0, epochs=0.0, boundary=len(network.trunk.stages),
                           cached=True, trainable_parameters=head.linear.weight.numel())  # fmt: skip
        record = EditRecord(HEAD, head.spec, (), ("head.linear.weight",))
        history = History(headline=self.job.task.headline, phases=[phase], train_s=time.perf_counter() - began, edits=[record.json()])
        history.device = str(head.linear.weight.device)
        self.plan = self.plan.because(str(solved)) if head.spec.how == "ridge" else self.plan
        watched = "valid" in self.job.dataset.splits and not self.plan.settings.refit
        return network, history, {"valid": self.answered(network, "valid")} if watched else {}

    def summed(self, network: Network, head: StatisticsHead) -> Sums:
        """The sums over everything that stays and everything that is new, over the classes of the child."""
        known, trunk = self.memory.classes, keeping.trunk_digest(network)
        tables = [self._of_this_trunk(row, table, trunk) for row, table in self.memory.features] + self.start
        held = self.memory.sums
        old = summed.of_tables(head, tables, known, folder=self._folder) if held is None else held.copied()
        if leaving := [table.where(rows) for table in tables if (rows := self._leaving(table)).any()] + self.taken:
            old = old - summed.of_tables(head, leaving, known)
        old = old.with_classes([known.index(name) if name in known else None for name in self.classes])
        new = [keeping.summable(self.job, network, split, cache=self.cache) for split in self.learned]
        total = summed.taking(old, head, new, self.classes)
        staying = [table.where(~self._leaving(table)) for table in tables]
        if self._folder is not None and tables:
            KeptArrays(self._folder / summed.FOLDER).put(summed.key_of(head, [*staying, *new], self.classes), total.arrays())
        return total

    @property
    def learned(self) -> list[Split]:
        """The new examples that are summed: those to watch on too, where the settings say so (``refit``)."""
        names = ("train", "valid") if self.plan.settings.refit else ("train",)
        return [self.fresh[name] for name in names if name in self.fresh]

    @property
    def _folder(self) -> Path | None:
        return Path(self.store.cache_folder) if self.cache is not None else None

    def _leaving(self, table: Kept) -> np.ndarray:
        gone = np.array([label not in self.classes for label in table.labels], bool)
        return gone | np.isin(table.keys, np.fromiter(self.lost_keys, np.uint64))

    def _of_this_trunk(self, row: Row, table: Kept, trunk: str) -> Kept:
        if row.get("trunk") != trunk:
            raise RequestError(f"grow {self.memory.record.name} by statistics", "its trunk has changed since the features were summed",
                               "--way replay or --way deep; or tune by --strategy statistics on this trunk")  # fmt: skip
        return table

    def kept(self, network: Network) -> list[tuple[Row, bytes]]:
        found = super().kept(network)
        if self.memory.sums is not None or self.plan.settings.keep == "nothing":
            assert self.total is not None
            found = [(row, data) for row, data in found if row["what"] not in (FEATURES, keeping.SUMS)]
            return [*found, keeping.sums_row(self.total, self.source, self.job)]
        trunk = keeping.trunk_digest(network)
        return [
            *found,
            *(
                ({**row, "trunk": trunk}, data)
                for row, data in (keeping.kept_row(FEATURES, self.memory.record.name, one, self.job) for one in self.start)
            ),
        ]
