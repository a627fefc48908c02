"""``edit``: surgery on a generation. Measured before and after on the same examples, recorded as a child; undone by another child.

generation -> LoRA folded in -> edits, each checked -> answers before and after -> child generation -> (healed by its unedited parent)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from regraft import lineage
from regraft.errors import LineageError, RequestError
from regraft.grow import edited
from regraft.grow.heal import heal as healed
from regraft.grow.operation import Operation
from regraft.grow.relatives import open_relative
from regraft.plan.surgery import parse_surgery
from regraft.surgery.operation import operate
from regraft.train.history import Observer
from regraft.tune.generation import Generation
from regraft.tune.job import Work, no_work

__all__ = ["edit", "undo"]
SURGERY = "surgery"


def edit(
    name: str, surgery: str, *, data: str | None = None, heal: str | Path | None = None, name_as: str | None = None,
    store: str | Path | None = None, observer: Observer | None = None, work: Work = no_work, **settings: Any,
) -> Generation:  # fmt: skip
    """Edit the generation that ``name`` means, as ``surgery`` says: ``"drop(blocks.2, blocks.3)"``, several edits joined by ``+``
    (``plan.surgery``). The child is called ``name_as``, by default the parent's name with ``-edit``.

    ``data``: what to measure on; by default what the parent learnt, where that is still there. ``heal``: data to learn on afterwards, with
    the unedited generation as teacher; ``settings``: of that run (``epochs``, ``lr``, ``strategy``, ...). Raises ``TrunkError`` where the
    model cannot take an edit, ``PlanError`` where it is not understood; the store is then as it was.
    """
    where = lineage.Store.locate(store)
    steps = parse_surgery(surgery)
    if settings and heal is None:
        raise RequestError(f"edit {name} with {', '.join(settings)}", "nothing is trained", "heal=DATA, to train after the edit")
    parent = where.get(name)
    operation = Operation(where, open_relative(where, parent), surgery)
    operation.measure("before", data, work)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        operation.records = operate(operation.network, steps)
    operation.measure("after", data, work)
    called = name_as or f"{parent.name}-edit"
    made = edited.record(operation, called)
    if heal is None:
        return made
    return healed(made, str(heal), teacher=parent.digest, name=called, observer=observer, work=work, **settings)


def undo(name: str, *, name_as: str | None = None, store: str | Path | None = None) -> Generation:
    """A child of ``name`` that computes what the generation before its last surgery did. Nothing of it is stored twice."""
    where = lineage.Store.locate(store)
    current = where.get(name)
    for generation in where.lineage(current.digest):
        if SURGERY in generation.manifest and generation.parent:
            return edited.restored(where, current, where.get(generation.parent), name_as or current.name)
    raise LineageError(f"undo the surgery of {name}", "neither it nor an ancestor was edited", "regraft log shows what each was made from")
