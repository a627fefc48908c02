"""What a person asked of ``grow``, and who watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from regraft import lineage
from regraft.grow.gate import Gate
from regraft.plan.plan import Plan
from regraft.train.history import Observer
from regraft.tune.job import Work, no_work
from regraft.tune.request import Request

OWN = ("task", "strategy", "objective", "input", "target", "name", "allow_rejected")
FIXED = ("max_length", "input_size")
"""Settings that a child has from its parent: what was kept was read so."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """``request``: data (empty where something is only removed), strategy, objective, columns, name and settings. ``new_task``: name of a further
    head; ``control``: compare it with the same plan on the pretrained model."""

    request: Request
    way: str | None = None
    remove_classes: tuple[str, ...] = ()
    remove_examples: str | None = None
    gate: Gate = field(default_factory=Gate)
    new_task: str | None = None
    control: bool = True
    resume: bool = False


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """See ``tune.conduct.tune``."""

    observer: Observer | None = None
    work: Work = no_work
    on_plan: Callable[[Plan], None] | None = None
    command: str = ""


def requested(parent: lineage.Generation, data: str | None, options: Mapping[str, Any], *, new_task: str | None = None) -> Request:
    """A request from keyword options: its own fields by name, everything else a setting; what the parent fixes comes from the parent. The
    task and the name are the parent's too, unless it is a ``new_task``."""
    own = {name: options[name] for name in OWN if options.get(name) is not None}
    held = parent.manifest["plan"]["settings"]
    fixed = {name: held[name] for name in FIXED if held.get(name)}
    settings = {**fixed, **{name: value for name, value in options.items() if name not in OWN and value is not None}}
    inherited = {} if new_task else {"task": parent.manifest["task"], "name": parent.name}
    return Request(data=data or "", model=parent.manifest["model"], settings=settings, **{**inherited, **own})
