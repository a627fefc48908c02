"""``distill``: one or several teachers and data in, a smaller or different model out that learnt their answers (Hinton, Vinyals and Dean 2015,
1503.02531).

teachers' answers, computed once and cached -> student (a model's reference or a generation, with surgery) -> tune with the objective distill
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from regraft import lineage
from regraft.errors import RequestError
from regraft.grow.student import Student, Study, open_student
from regraft.plan.objective import Objective, Objectives
from regraft.plan.plan import Plan
from regraft.train.history import Observer
from regraft.train.objective import declared, read
from regraft.trunk import machine
from regraft.tune import learned_from
from regraft.tune.conduct import requested
from regraft.tune.decide import decide
from regraft.tune.execute import Execution
from regraft.tune.generation import Generation
from regraft.tune.job import Work, no_work, open_data

__all__ = ["distill"]
STRATEGY = "full"
TEMPERATURE, WEIGHT = 2.0, 0.7


def distill(
    teacher: str | Sequence[str], data: str | Path, *, model: str, store: str | Path | None = None, observer: Observer | None = None,
    work: Work = no_work, on_plan: Callable[[Plan], None] | None = None, **options: Any,
) -> Generation:  # fmt: skip
    """Train ``model`` on ``data`` with the answers of ``teacher``: a generation, or several of the same task.

    ``model``: a reference (``bundled:minilm``) or a generation, either with surgery (``bundled:minilm+drop(blocks.1, blocks.3, blocks.5)``). ``options``: as for
    ``tune``; ``strategy`` is by default ``full``, ``objective`` ``distill(temperature=2, weight=0.7)``: one that learns from a generation
    and names none learns from the teachers, and several teachers share the weight. Raises as ``tune`` does.
    """
    command, resume = str(options.pop("command", "")), bool(options.pop("resume", False))
    where = lineage.Store.locate(store)
    names = _names(teacher)
    request = replace(requested(data, options.pop("strategy", None) or STRATEGY, options), model=model)
    fixed = [where.get(name).digest[:12] for name in names]  # not by name: "parent" is a word of its own to an objective
    objectives = learned_from.settled(_taught(read(request.objective), fixed), where)
    job = open_student(request, open_data(request, work), model, where, work=work)
    if isinstance(job, Student):
        # what starts from a generation has no classifier of the pretraining
        learned_from.settled(objectives, where, parent=job.start.digest)
    plan = decide(job, machine.measure(), objectives=objectives, reasons=learned_from.told(objectives, where))
    if on_plan:
        on_plan(plan)
    kind, parent = (Study, job.start.digest) if isinstance(job, Student) else (Execution, None)
    run = kind(job=job, plan=plan, store=where, name=request.name or f"{names[0].partition('~')[0]}-student", observer=observer, resume=resume,
               command=command, parent=parent)  # fmt: skip
    return run.go()


def _names(teacher: str | Sequence[str]) -> list[str]:
    given = teacher.split(",") if isinstance(teacher, str) else list(teacher)
    names = [name.strip() for name in given if name.strip()]
    if not names:
        raise RequestError("distill", "no teacher is named", "regraft distill TEACHER DATA --model MODEL")
    return names


def _taught(objectives: Objectives, names: Sequence[str]) -> Objectives:
    """``objectives`` with the teachers in them; the usual one where none of them learns from a generation."""
    asking = [one for one in objectives if _learns(one)]
    usual = () if asking else (Objective.of("distill", {"temperature": TEMPERATURE, "weight": WEIGHT}),)
    return tuple(taught for one in (*usual, *objectives) for taught in (_shared(one, names) if _learns(one) else (one,)))


def _learns(one: Objective) -> bool:
    return any(ask.what in learned_from.FROM_GENERATIONS for ask in declared(one).asks)


def _shared(one: Objective, names: Sequence[str]) -> Objectives:
    """One objective for each teacher, which share its weight; as it is where it names its teacher itself."""
    options = dict(one.options)
    if "teacher" in options:
        return (one,)
    if len(names) == 1:
        return (one.with_options(teacher=names[0]),)
    weight = options.get("weight", WEIGHT)
    share = float(weight) / len(names) if isinstance(weight, (int, float)) else WEIGHT / len(names)
    return tuple(one.with_options(teacher=name, weight=share) for name in names)
