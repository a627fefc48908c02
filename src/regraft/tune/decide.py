"""From a job to a plan: advice where the person gave none, their settings on top, checks, and the forecast of what it will cost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import psutil

from regraft.advise.facts import Facts
from regraft.advise.probe import ProbeResult
from regraft.advise.strategy import Advice, choose
from regraft.data.augment import Augmentation
from regraft.data.vocabulary import Coverage, coverage, share_unknown
from regraft.errors import PlanError
from regraft.plan import cost
from regraft.plan.check import check
from regraft.plan.objective import Objectives
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.plan.strategy import parse
from regraft.surgery.specs import edit_from_json
from regraft.train.objective import check as declared
from regraft.trunk.machine import Machine
from regraft.tune import controls, source_head, unfit
from regraft.tune.job import Job, facts_of, speaks

FIND = "find"
WORTH_SAYING = 0.01
REACHED = 0.4
"""Of the rate of a large matrix product, what training reaches on an accelerator (Chowdhery et al. 2022, 2204.02311: 0.3 to 0.5)."""


def decide(
    job: Job, machine: Machine, *, objectives: Objectives = (), probe: ProbeResult | None = None, mirror_loss: float = 0.0, reasons: tuple[str, ...] = (),
    under: Mapping[str, Any] | None = None,
) -> Plan:  # fmt: skip
    """The plan for ``job``, checked, with its forecast. ``objectives``: settled (``tune.learned_from``). ``mirror_loss``: as in ``Facts``. ``reasons``: sentences that come
    first (why this model). ``under``: settings that whoever conducts the run puts over the advised ones and under those of the person."""
    asked_for, conducted = dict(job.request.settings), dict(under or {})
    given = {**conducted, **asked_for}
    asked = job.request.strategy
    strategy = parse(asked) if isinstance(asked, str) else asked
    advice = choose(data_facts(job, machine, mirror_loss), job.outline, probe=probe, strategy=strategy, seed=int(given.get("seed", 0)))
    settings = settled(merged(advice.settings, given), machine)
    Augmentation.of(settings.augment, job.dataset.kind)  # what cannot be meant is refused now, not when training begins
    if settings.packing and job.dataset.form.target != "text":
        raise PlanError(
            f"packing with the task {job.dataset.task}",
            "it puts several conversations or texts to a row, and there are none",
            "--set packing=false",
        )
    strategy = strategy or parse(advice.strategy)
    read = read_of(job)
    plan = Plan(
        task=job.dataset.task,
        model=job.reference,
        strategy=strategy.text,
        stages=(*job.outline.stage_names, "head"),
        phases=strategy(job.outline),
        settings=settings,
        objectives=objectives,
        reasons=(*reasons, *told(advice, asked_for, conducted), *(() if read is None or read.is_poor else (str(read),))),
        data=facts_of(job),
    )
    poor = (f"{read}: other vectors, or another model, may read more",) if read is not None and read.is_poor else ()
    plan = plan.because(*controls.told(plan, job), *source_head.told(objectives, job))
    return forecast(replace(plan, warnings=(*check(plan, job.outline), *poor, *unfit.remarks(job))), job, machine)


def read_of(job: Job) -> Coverage | None:
    """How much of the training texts the model can read; ``None`` where that is not worth a word: pieces of words cover nearly everything."""
    if job.dataset.kind != "text" or speaks(job.dataset):
        return None
    tokenizer, train = job.trunk.tokenizer, job.sample
    if not hasattr(tokenizer, "missing") and share_unknown(train.tokens, len(train), tokenizer) < WORTH_SAYING:  # type: ignore[attr-defined]
        return None
    found = coverage(job.dataset.splits["train"], tokenizer)
    return found if found.what == "words" or found.share >= WORTH_SAYING else None


def data_facts(job: Job, machine: Machine, mirror_loss: float = 0.0) -> Facts:
    counts = job.task.counts(job.targets, len(job.dataset.classes))
    return Facts(
        kind=job.dataset.kind, counts=counts, solvable=job.task.solve is not None, mean_length=mean_length(job),
        macs_per_s=pace(job, machine) * 1e9 / 2, oversize=job.oversize, has_valid="valid" in job.dataset.given_splits,
        learns=job.dataset.form.target if job.trunk.own_head is not None else "", mirror_loss=mirror_loss,
        altered=any(not getattr(edit_from_json(row["edit"]), "keeps_function", True) for row in job.edits),
    )  # fmt: skip


def pace(job: Job, machine: Machine) -> float:
    """1e9 operations a second that this machine reaches on this trunk and data: timed on the processor; on another device, where
    the trunk is not yet, the usual share of what its matrix products reach."""
    if machine.device != "cpu":
        return REACHED * machine.gflops
    return job.gflops or machine.gflops


def mean_length(job: Job) -> float:
    lengths = job.sample.lengths
    return 0.0 if lengths is None else float(np.mean(lengths))


def merged(advised: Settings, given: Mapping[str, Any]) -> Settings:
    """The advised settings with the given ones over them. ``lr`` "find" keeps the advised rate until the range test has run."""
    over = {name: value for name, value in given.items() if not (name == "lr" and value == FIND)}
    return Settings.from_json({**advised.json(), **over})


def settled(settings: Settings, machine: Machine) -> Settings:
    """Nothing is left to be measured later: a run that is resumed must not find another precision."""
    return replace(settings, precision=machine.precision) if settings.precision == "auto" else settings


def told(advice: Advice, given: Mapping[str, Any], conducted: Mapping[str, Any]) -> tuple[str, ...]:
    """The reasons, with those for settings that were set left out, and what the person set said instead."""
    kept = tuple(reason for reason in advice.reasons if not any(_is_about(reason, name) for name in (*given, *conducted)))
    chosen = ", ".join(f"{name}={value}" for name, value in given.items())
    return (*kept, f"as asked: {chosen}") if chosen else kept


ABOUT = {
    "epochs": " epochs in batches of ",
    "batch_size": " epochs in batches of ",
    "lr": "lr ",
    "label_smoothing": "label smoothing",
    "batch_norm": "batch norm",
    "augment": "augmentation",
    "refit": "refit:",
    "wise_ft": "wise_ft ",
}
"""Setting -> words by which the advice's sentence about it is known."""


def _is_about(reason: str, name: str) -> bool:
    return name in ABOUT and (ABOUT[name] in reason if ABOUT[name].startswith(" ") else reason.startswith(ABOUT[name]))


def forecast(plan: Plan, job: Job, machine: Machine) -> Plan:
    """The plan with what it will cost: the counting rule of the cost room, at the speed that this machine was measured to have."""
    sizes = {name: len(split) for name, split in job.dataset.splits.items()}
    (num_train, length), asked = job.amount(plan.settings), declared(plan.objectives)
    facts = cost.Facts(
        num_train=num_train,
        num_valid=sizes.get("valid", 0),
        num_test=sizes.get("test", 0),
        num_classes=job.num_classes,
        mean_length=length,
        gflops=pace(job, machine),
        update_ns=machine.update_ns,
        settles=job.task.settle is not None,
        controls=controls.runs(plan, job),
        passes=1 + sum(one.passes - 1 for one in asked),
        forwards=sum(one.forwards for one in asked),
        copies=sum(one.copies for one in asked),
        ahead=sum(one.ahead(num_train) for one in asked),
        start_s=time.perf_counter() - job.request.began,
        start_bytes=psutil.Process().memory_info().rss if machine.device == "cpu" else 0,
    )
    return replace(plan, cost=cost.forecast(plan, job.outline, facts))
