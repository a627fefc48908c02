"""A plan: the grid of stages by phases, with the settings of the run, and the reasons for both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from regraft import digest
from regraft.plan.cell import FROZEN
from regraft.plan.objective import Objectives, parse, text_of
from regraft.plan.phase import Phase, last_by_gradient
from regraft.plan.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``stages``: the grid's row names, the head last. ``objectives``: what is minimised beside the task's loss. ``reasons``: sentences that say why; ``warnings``: what to watch.

    ``data``: where the examples come from ({"reference", "input", "target", ...}), so that a plan can be carried out later.
    Reasons, warnings, cost, data and which phases are read from the cache do not enter the digest: two plans that learn the same are the same plan.
    """

    task: str
    model: str
    strategy: str
    stages: tuple[str, ...]
    phases: tuple[Phase, ...]
    settings: Settings = field(default_factory=Settings)
    objectives: Objectives = ()
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    cost: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    def intent(self) -> dict[str, Any]:
        """What the plan does, and nothing else: the JSON that its digest covers. What is chosen by rates measured at the moment is left out."""
        return {
            "task": self.task,
            "model": self.model,
            "strategy": self.strategy,
            "stages": list(self.stages),
            "phases": [replace(phase, live="").json() for phase in self.phases],
            "settings": self.settings.json(),
            "objective": text_of(self.objectives),
        }

    def json(self) -> dict[str, Any]:
        phases = [phase.json() for phase in self.phases]
        return {
            **self.intent(),
            "phases": phases,
            "reasons": list(self.reasons),
            "warnings": list(self.warnings),
            "cost": self.cost,
            "data": self.data,
        }

    @property
    def digest(self) -> str:
        return digest.of_json(self.intent())

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Plan:
        return cls(
            task=document["task"],
            model=document["model"],
            strategy=document["strategy"],
            stages=tuple(document["stages"]),
            phases=tuple(Phase.from_json(phase) for phase in document["phases"]),
            settings=Settings.from_json(document["settings"]),
            objectives=parse(document.get("objective", "")),
            reasons=tuple(document.get("reasons", ())),
            warnings=tuple(document.get("warnings", ())),
            cost=document.get("cost", {}),
            data=document.get("data", {}),
        )

    @property
    def last_by_gradient(self) -> int:
        """Index of the last phase that takes epochs; -1 where there is none."""
        return last_by_gradient(self.phases)

    @property
    def never_touched(self) -> tuple[int, ...]:
        """Rows below the head that are frozen and bear no edit in any phase."""
        rows = range(len(self.stages) - 1)
        return tuple(row for row in rows if all(phase.cells[row] == FROZEN for phase in self.phases))

    def because(self, *reasons: str) -> Plan:
        return replace(self, reasons=(*self.reasons, *reasons))
