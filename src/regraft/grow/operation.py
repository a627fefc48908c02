"""An edit as it comes to be: the generation rebuilt, its records, and its answers before and after on the same examples."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regraft import lineage
from regraft.errors import DataError, RequestError
from regraft.grow.examples import Examples, open_examples
from regraft.grow.relatives import Relative
from regraft.surgery.edits import EditRecord
from regraft.tune.job import Work


@dataclass(eq=False)
class Operation:
    """``answers``: "before" and "after" -> split -> logits (n, k)."""

    store: lineage.Store
    relative: Relative
    surgery: str
    records: list[EditRecord] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    examples: Examples | None = None
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.parameters = {"before": self._count()}
        self.stages = self.network.stage_names

    @property
    def network(self) -> Any:
        return self.relative.rebuilt.network

    @property
    def parent(self) -> lineage.Generation:
        return self.relative.record

    def measure(self, when: str, data: str | None, work: Work) -> None:
        """Answers on valid and test. Where nobody named data and the parent's is gone, nothing is measured, and the generation says so."""
        if when == "before":
            self.examples = self._examples(data, work)
        self.parameters[when] = self._count()
        found = self.examples
        self.answers[when] = {split: found.logits(self.network, split) for split in found.splits} if found else {}

    def documents(self, when: str) -> Mapping[str, dict[str, Any]]:
        """Split -> the ``evaluate`` document."""
        task, found = self.relative.rebuilt.task, self.examples
        if found is None:
            return {}
        return {
            split: task.document(task.answers(logits), found.targets(split), found.classes) for split, logits in self.answers[when].items()
        }

    def _examples(self, data: str | None, work: Work) -> Examples | None:
        try:
            return open_examples([self.parent], self.relative.rebuilt, self.relative.classes, data=data, work=work)
        except (DataError, RequestError) as error:
            if data is not None:
                raise
            self.warnings.append(f"not measured: {error.found}; name data to measure on (--data)")
            return None

    def _count(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())
