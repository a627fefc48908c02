"""``grow``: from a generation and some data to the child. The surface of this room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regraft import lineage
from regraft.errors import RequestError
from regraft.evaluate.retention import TOLERANCE
from regraft.grow import ways
from regraft.grow.asked import Growth, Hooks, requested
from regraft.grow.forgetting import forgetting
from regraft.grow.gate import Gate
from regraft.grow.learning import learning
from regraft.grow.memory import Memory
from regraft.tune.generation import Generation

__all__ = ["grow"]
WATCHERS = ("observer", "work", "on_plan", "command")


def grow(
    parent: str | Generation, data: str | Path | None = None, *, way: str | None = None, tolerance: float = TOLERANCE, accept_forgetting: str = "",
    remove_class: Sequence[str] = (), remove_examples: str | Path | None = None, **options: Any,
) -> Generation:  # fmt: skip
    """The next generation of ``parent``: it learns what is new in ``data``, passes the gate, and is recorded as a child.

    ``way``: statistics, replay or deep; chosen with reasons where not given. ``tolerance``: share of the answers to a probe that may be
    lost; more raises ``GateRefused`` and nothing is stored, unless ``accept_forgetting`` gives a reason, which is recorded.
    ``remove_class``, ``remove_examples``: what is to be forgotten, in place of ``data``; for heads made of statistics. ``options``: ``store``,
    ``observer``, ``work``, ``on_plan``, ``command``, ``strategy``, ``objective``, ``input``, ``target``, ``name`` (by default the
    parent's, which then means the child), ``allow_rejected`` and any of ``Settings``.
    """
    given = options.pop("store", None)
    store = parent.store if isinstance(parent, Generation) else lineage.Store.locate(given)
    record = store.get(parent.digest if isinstance(parent, Generation) else parent)
    hooks = Hooks(**{key: value for key in WATCHERS if (value := options.pop(key, None)) is not None})
    growth = Growth(
        request=requested(record, None if data is None else str(data), options), way=ways.checked(way), remove_classes=tuple(remove_class),
        remove_examples=None if remove_examples is None else str(remove_examples), gate=Gate(tolerance=tolerance, accepted=accept_forgetting),
    )  # fmt: skip
    removes = bool(growth.remove_classes or growth.remove_examples)
    if removes == (data is not None):
        raise RequestError(f"grow {record.name}", "data to learn and something to forget" if removes else "neither data nor anything to forget",
                           "regraft grow NAME DATA, or regraft grow NAME --remove-class CLASS: one step at a time")  # fmt: skip
    memory = Memory(store, record)
    run = forgetting(growth, memory, hooks) if removes else learning(growth, memory, hooks)
    made = run.go()
    made.document.update({key: made.record.manifest[key] for key in ("retention", "gate")})
    return made
