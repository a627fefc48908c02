"""``grow``: from a generation and some data to the child. The surface of this room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regraft import lineage, tasks
from regraft.errors import RequestError
from regraft.evaluate.retention import TOLERANCE
from regraft.grow import ways
from regraft.grow.asked import Growth, Hooks, requested
from regraft.grow.forgetting import forgetting
from regraft.grow.gate import Gate
from regraft.grow.learning import learning
from regraft.grow.memory import Memory
from regraft.grow.new_task import branching
from regraft.tune.execute import Execution
from regraft.tune.generation import Generation

__all__ = ["grow"]
DOCUMENTED = ("retention", "gate", "head", "sharing", "control")
WATCHERS = ("observer", "work", "on_plan", "command")
ASKED = ("new_task", "control", "resume")


def grow(
    parent: str | Generation, data: str | Path | None = None, *, way: str | None = None, tolerance: float = TOLERANCE, accept_forgetting: str = "",
    remove_class: Sequence[str] = (), remove_examples: str | Path | None = None, **options: Any,
) -> Generation:  # fmt: skip
    """The next generation of ``parent``: it learns what is new in ``data``, passes the gate, and is recorded as a child.

    ``way``: statistics, replay or deep; chosen with reasons where not given. ``tolerance``: share of the answers to a probe that may be
    lost; more raises ``GateRefused`` and nothing is stored, unless ``accept_forgetting`` gives a reason, which is recorded.
    ``new_task``: ``data`` is for another task; the child, called ``PARENT.NEW_TASK``, is a further head on the trunk of the parent, which is not
    touched, and is compared with the same plan on the pretrained model (``control``).
    ``remove_class``, ``remove_examples``: what is to be forgotten, in place of ``data``; for heads made of statistics. ``options``: ``store``,
    ``observer``, ``work``, ``on_plan``, ``command``, ``resume``, ``strategy``, ``objective``, ``task``, ``input``, ``target``, ``name`` (by default the
    parent's, which then means the child), ``allow_rejected`` and any of ``Settings``.
    """
    given = options.pop("store", None)
    store = parent.store if isinstance(parent, Generation) else lineage.Store.locate(given)
    record = store.get(parent.digest if isinstance(parent, Generation) else parent)
    hooks = Hooks(**{key: value for key in WATCHERS if (value := options.pop(key, None)) is not None})
    asked = {key: value for key in ASKED if (value := options.pop(key, None)) is not None}
    request = requested(record, None if data is None else str(data), options, new_task=asked.get("new_task"))
    growth = Growth(
        request=request, way=ways.checked(way), remove_classes=tuple(remove_class), gate=Gate(tolerance=tolerance, accepted=accept_forgetting),
        remove_examples=None if remove_examples is None else str(remove_examples), **asked,
    )  # fmt: skip
    removes = bool(growth.remove_classes or growth.remove_examples)
    if removes == (data is not None):
        raise RequestError(f"grow {record.name}", "data to learn and something to forget" if removes else "neither data nor anything to forget",
                           "regraft grow NAME DATA, or regraft grow NAME --remove-class CLASS: one step at a time")  # fmt: skip
    run = _execution(growth, Memory(store, record), hooks, removes=removes)
    made = run if isinstance(run, Generation) else run.go()
    made.document.update({key: made.record.manifest[key] for key in DOCUMENTED if key in made.record.manifest})
    return made


def _execution(growth: Growth, memory: Memory, hooks: Hooks, *, removes: bool) -> Execution | Generation:
    if growth.new_task is None:
        _check_one_task(growth, memory)
        return forgetting(growth, memory, hooks) if removes else learning(growth, memory, hooks)
    if removes or growth.way:
        found = "something to forget" if removes else f"--way {growth.way}"
        raise RequestError(
            f"grow {memory.record.name} by a new task",
            f"{found}, which is for the task that it has",
            "--new-task NAME alone; --strategy says what trains",
        )
    return branching(growth, memory, hooks)


def _check_one_task(growth: Growth, memory: Memory) -> None:
    if tasks.of(memory.manifest["task"]).form.parts == "row":
        raise RequestError(f"grow {memory.record.name}", "it reads columns of a table, whose spread and values were learned once and for all",
                           "regraft tune on the old and the new rows together; or --new-task NAME, for a further head on its trunk")  # fmt: skip
    if growth.request.task != memory.manifest["task"]:
        raise RequestError(f"grow {memory.record.name} with --task {growth.request.task}", f"its task is {memory.manifest['task']}",
                           f"regraft grow {memory.record.name} DATA --new-task NAME, for a further head on its trunk")  # fmt: skip
