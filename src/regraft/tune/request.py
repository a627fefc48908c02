"""What a person asked for, before anything is resolved: a path, perhaps a model and a strategy, and settings that overrule."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regraft.data.joined import references
from regraft.plan.objective import Objective
from regraft.plan.strategy import Strategy

ObjectiveLike = str | Objective | Callable[..., Any] | Sequence[Any] | None
"""Text, a record, a loss ``(logits, targets) -> (B,)`` of one's own, or several of these."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """``None`` means "choose for me and say why"; of ``objective``, the task's loss alone. ``settings``: only those that were given (names of ``plan.Settings``; ``lr`` may be "find").
    ``began``: the moment of asking, by ``time.perf_counter``; what it takes to load data and model is a part of the cost."""

    data: str
    model: str | None = None
    task: str | None = None
    strategy: Strategy | str | None = None
    objective: ObjectiveLike = None
    input: str | None = None
    target: str | None = None
    name: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    allow_rejected: bool = False
    began: float = field(default_factory=time.perf_counter, compare=False, repr=False)

    @property
    def run_name(self) -> str:
        """The name given, else one made from the data's: ``tickets.csv`` -> ``tickets``."""
        if self.name:
            return self.name
        stem = "-".join(Path(one.rstrip("/")).resolve().stem for one in references(self.data)) or "run"
        return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in stem)
