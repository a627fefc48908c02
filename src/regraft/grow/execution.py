"""Carrying out growth, whatever the way: measured on every probe of the family, judged by the gate, kept for the next generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.dataset import Split
from regraft.data.encode import Encoded, concat
from regraft.evaluate import stored
from regraft.grow.gate import Answers, Gate, judge
from regraft.grow.memory import Memory, Row
from regraft.serve import rebuild
from regraft.surgery.statistics import StatisticsHead
from regraft.train.closed_form import keys_of
from regraft.trunk.network import Network
from regraft.tune import evidence, keeping, record
from regraft.tune.execute import Execution, Measured
from regraft.tune.kept import Kept


@dataclass(eq=False, kw_only=True)
class Growing(Execution):
    """The execution of a plan that goes on from ``memory``.

    ``probes``: (row of the manifest, the kept examples as a split), in the order in which they begin the job's test split; what follows there is
    ``fresh["test"]``. ``fresh``: the new data by split, and nothing of what was kept. ``source``: what the new data is called.
    ``lost_keys``: of examples that are to be forgotten. ``learned_from``: fingerprint of the data as it was given.
    """

    memory: Memory
    gate: Gate
    probes: Sequence[tuple[Row, Split]] = ()
    fresh: Mapping[str, Split] = field(default_factory=dict)
    source: str = ""
    lost_keys: frozenset[int] = frozenset()
    learned_from: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        return self.job.dataset.classes

    def base(self) -> str | None:
        return self.memory.record.base

    @cached_property
    def tested(self) -> list[Encoded]:
        """The test split in its parts: each probe by itself, so that what is cached for it is found again, then what is new."""
        parts = [split for _, split in self.probes] + [self.fresh[name] for name in ("test",) if name in self.fresh]
        return [keeping.encoded(self.job, part) for part in parts]

    def answered(self, network: Network, split: str, *, known: NDArray[Any] | None = None) -> Measured:
        if split != "test":
            return super().answered(network, split, known=known)
        encoded = reduce(concat, self.tested)
        scores = np.concatenate([self._scores(network, part) for part in self.tested])
        return Measured(split, scores, encoded, evidence.document(self.job.task, scores, encoded, self.classes))

    def _scores(self, network: Network, encoded: Encoded) -> NDArray[np.float32]:
        if isinstance(network.head, StatisticsHead):
            return evidence.logits_of_features(network, encoded, self.cache)
        say = lambda done, total: self.job.work("measuring on what was known", done, total)  # noqa: E731
        return evidence.logits(network, encoded, say, task=self.job.task)

    def judged(self, network: Network, measured: dict[str, Measured]) -> dict[str, Any]:
        after = [self.classes[int(best)] for best in measured["test"].scores.argmax(1)] if "test" in measured else []
        answers, start = [], 0
        for row, split in self.probes:
            part = slice(start, start + len(split))
            targets = [self.classes[int(target)] for target in split.targets]
            answers.append(Answers(row["of"], self.before(split), after[part], targets))
            start += len(split)
        more, unmeasured = self.unseen(network)
        asked = f"grow {self.memory.record.name} with {self.source}"
        head = {"head": self.memory.manifest["head"]} if "head" in self.memory.manifest else {}
        return {**judge(asked, [*answers, *more], self.gate, unmeasured=unmeasured).json(), **head, "learned": self.learned_from}

    def before(self, split: Split) -> list[str]:
        """What the parent answered to these examples: as it was recorded, or asked again."""
        keys = keys_of(split.digests)
        missing = np.array([int(key) not in self.memory.answers for key in keys], bool)
        known = {**self.memory.answers, **(self._asked(split, missing) if missing.any() else {})}
        return [known[int(key)] for key in keys]

    def _asked(self, split: Split, rows: NDArray[np.bool_]) -> dict[int, str]:
        rebuilt = rebuild.network(self.store, self.memory.record.digest)
        part = split.take(np.flatnonzero(rows))
        scores = evidence.logits(rebuilt.network, keeping.encoded(self.job, part), task=self.job.task)
        return {int(key): rebuilt.classes[int(best)] for key, best in zip(keys_of(part.digests), scores.argmax(1), strict=True)}

    def unseen(self, network: Network) -> tuple[list[Answers], list[str]]:
        """Answers to probes of which only features were kept, and the skills that nothing is left to measure by."""
        answers, unmeasured = [], []
        for row, table in self.memory.probes:
            if table.has_examples:
                continue
            if isinstance(network.head, StatisticsHead) and row.get("trunk") == self.trunk_digest(network):
                answers.append(self._by_features(row, table, network.head))
            else:
                unmeasured.append(f"{row['of']}: only features of its probe were kept, and the trunk has changed since")
        if not self.probes and not self.memory.probes:
            unmeasured.append(f"{self.memory.record.name} kept no probe of what it can do")
        return answers, unmeasured

    def _by_features(self, row: Row, table: Kept, head: StatisticsHead) -> Answers:
        known = table.where(np.array([label in self.classes for label in table.labels], bool))
        features = known.features
        assert features is not None
        now = [self.classes[int(best)] for best in evidence.head_logits(head, features).argmax(1)]
        was = [self.memory.answers.get(int(key), "") for key in known.keys]
        return Answers(row["of"], was, now, known.labels)

    def trunk_digest(self, network: Network) -> str:
        return keeping.trunk_digest(network)

    def kept(self, network: Network) -> list[tuple[Row, bytes]]:
        """What the family kept, less what is to be forgotten, and what is new."""
        own = keeping.kept(self.job, self.plan.settings, network, name=self.source, cache=self.cache, splits=self.fresh)
        return [*self.carried(network), *own]

    def carried(self, network: Network) -> list[tuple[Row, bytes]]:
        """Rows of the parent that are still true. Sums are not: there are new ones."""
        rows = [row for row in self.memory.keeper.manifest.get("kept", []) if row["what"] != keeping.SUMS]
        return [kept for row in rows if (kept := self._carried(row)) is not None]

    def _carried(self, row: Row) -> tuple[Row, bytes] | None:
        data = self.memory.content(row)
        table = Kept.of_bytes(data)
        stays = np.array([label in self.classes for label in table.labels], bool) & ~np.isin(
            table.keys, np.fromiter(self.lost_keys, np.uint64)
        )
        if stays.all():
            return row, data
        made, content = keeping.kept_row(row["what"], row["of"], table.where(stays), self.job)
        return ({**row, **made}, content) if stays.any() else None

    def assets(self, measured: dict[str, Measured]) -> dict[str, bytes]:
        fresh = [digest for name in ("train", "valid") if name in self.fresh for digest in self.fresh[name].digests]
        seen = (self.memory.seen | {int(key) for key in keys_of(fresh)}) - self.lost_keys
        test = measured.get("test")
        answers = stored.packed(test.scores, test.encoded.digests, test.encoded.targets) if test else {}
        return {**answers, **record.seen([f"{key:016x}" for key in seen])}
