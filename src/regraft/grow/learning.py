"""Learning what is new: from data to the execution of a plan that goes on from the parent.

data --load, known classes first--> news --way--> job (new and kept examples, the parent's network) --> plan --> execution
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from regraft import tasks
from regraft.data.augment import MIXING
from regraft.data.dataset import Dataset, Split, fingerprint
from regraft.data.load import load_more, task_of
from regraft.errors import RequestError
from regraft.grow import earlier, ways
from regraft.grow.asked import Growth, Hooks
from regraft.grow.by_replay import Replaying
from regraft.grow.by_statistics import Summing
from regraft.grow.execution import Growing
from regraft.grow.memory import Memory, Row
from regraft.grow.news import News, joined
from regraft.grow.news import of as news_of
from regraft.grow.parent import GrownJob
from regraft.grow.rehearsal import Rehearsal
from regraft.grow.ways import Choice
from regraft.plan import cost
from regraft.plan.check import check
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.plan.strategy import Strategy, parse
from regraft.report import pages
from regraft.serve import rebuild
from regraft.spec import FORMS
from regraft.surgery.specs import Statistics
from regraft.train.objective import read
from regraft.trunk import machine
from regraft.trunk.measure import measure
from regraft.trunk.network import HEAD
from regraft.trunk.outline import Outline
from regraft.tune import document, learned_from
from regraft.tune.decide import decide
from regraft.tune.generation import Generation
from regraft.tune.job import facts_of


def learning(growth: Growth, memory: Memory, hooks: Hooks) -> Growing | Generation:
    """The execution, ready to go; the plan has been shown. To go on with a step that has ended already is that step's generation."""
    dataset = opened(growth, memory, hooks)
    if growth.resume and memory.manifest.get("learned") == dataset.fingerprint:
        return finished(growth, memory, hooks, dataset=dataset)
    news = news_of(dataset, memory)
    job = job_of(growth, memory, hooks, dataset=news.dataset)
    given = growth.request.settings
    decides = bool(growth.request.strategy or given.get("patience"))  # another strategy may end where valid is best, patience does
    choice = ways.choose(memory, news, job.outline, asked=growth.way, replays=given.get("replay") != 0, watched=decides)
    strategy = strategy_of(growth, choice)
    probes = probes_of(memory, job.dataset.classes)
    splits = assembled(news, memory, probes, choice.rehearsal)
    job.dataset = replace(news.dataset, splits=splits, fingerprint=fingerprint(dataset.task, dataset.classes, splits))
    job.spec, job.merging = head_of(strategy), choice.way == "deep"
    shared: dict[str, Any] = {
        "job": job, "store": memory.store, "name": growth.request.run_name, "observer": hooks.observer, "command": hooks.command,
        "parent": memory.record.digest, "memory": memory, "gate": growth.gate, "probes": probes, "fresh": news.dataset.splits,
        "resume": growth.resume, "learned_from": dataset.fingerprint,
        "source": Path(growth.request.data.rstrip("/")).stem or memory.record.name,
    }  # fmt: skip
    reasons = (*news.said, *choice.reasons)
    if choice.way == "statistics":
        started, said = earlier.features(memory, job)
        plan = summing_plan(job, strategy, (*reasons, *said))
        run: Growing = Summing(plan=plan, start=started, **shared)
    else:
        plan = stepping_plan(growth, job, strategy, choice, memory=memory, reasons=reasons)
        run = Replaying(plan=plan, sweeps="wise_ft" not in growth.request.settings, **shared)
    if hooks.on_plan:
        hooks.on_plan(plan)
    return run


def finished(growth: Growth, memory: Memory, hooks: Hooks, *, dataset: Dataset) -> Generation:
    """The generation of ``memory``, which is what this step made, with its document."""
    record, plan = memory.record, Plan.from_json(memory.manifest["plan"])
    manifest = {**memory.manifest, "cost": {**memory.manifest["cost"], "stored_bytes": record.stored_bytes}}
    page = pages.path_of(memory.store.run_folder(record.name), record.digest)
    job = job_of(growth, memory, hooks, dataset=dataset)
    return Generation(memory.store, record, document.tune_document(manifest, plan, job, report=str(page)))


def opened(growth: Growth, memory: Memory, hooks: Hooks) -> Dataset:
    """The data, over the parent's classes and then the new ones."""
    request = growth.request
    _check_takes_more(memory)
    given = {name: request.settings[name] for name in ("valid_fraction", "test_fraction") if name in request.settings}
    dataset = load_more(request.data, memory.classes, columns=(request.input, request.target), task=request.task,
                        allow_rejected=request.allow_rejected, progress=hooks.work, **given)  # fmt: skip
    _check_same_question(dataset, memory, growth)
    return dataset


def _check_takes_more(memory: Memory) -> None:
    """A head that has no class for each example cannot be measured on what was kept of the old ones, which is kept by class: it goes on as another head."""
    task = tasks.of(memory.manifest["task"]).bound(memory.manifest["facts"])
    if task.form.target == "class":
        return
    begins = (
        "the model's own words go on"
        if task.form.parts == "turns"
        else "it begins with what this one's knows"
        if task.carry
        else "it learns anew"
    )
    typed = (
        f"{','.join(one.task.name for one in task.members)} --target {','.join(one.name for one in task.members)}"
        if task.members
        else task.name
    )
    raise RequestError(f"grow {memory.record.name}", f"its task is {task.name}, and only classifiers take on more of the same",
                       f"--new-task NAME --task {typed}, for a head of its own on this trunk: {begins}, and {memory.record.name} stays as it is; "
                       "or regraft tune on the old and the new examples together")  # fmt: skip


def _check_same_question(dataset: Dataset, memory: Memory, growth: Growth) -> None:
    """Not one known class, and data that by itself is of another kind: that is no step of this task."""
    known = (
        {int(target) for split in dataset.splits.values() for target in np.unique(split.targets)}
        if dataset.form.target == "class"
        else set()
    )
    if not known or min(known) < len(memory.classes):
        return
    found = task_of(dataset.reference, input=growth.request.input, target=growth.request.target)
    if FORMS[found].target != dataset.form.target:
        raise RequestError(f"grow {memory.record.name} with {dataset.reference}", f"none of its labels is known, and by themselves they are {found}",
                           f"--new-task NAME --task {found}, for a further head; or name the column of the labels with --target")  # fmt: skip


def job_of(growth: Growth, memory: Memory, hooks: Hooks, *, dataset: Dataset, kind: type[GrownJob] = GrownJob) -> GrownJob:
    """The job over the parent's trunk as it stands."""
    rebuilt = rebuild.network(memory.store, memory.record.digest)
    trunk = rebuilt.network.trunk
    trunk.reference = memory.manifest["model"]
    return kind(request=growth.request, dataset=dataset, reference=memory.manifest["model"], trunk=trunk, outline=_outline(memory) or measure(trunk),
                work=hooks.work, store=memory.store, parent=memory.record, first=rebuilt)  # fmt: skip


def _outline(memory: Memory) -> Outline | None:
    """As the parent measured it, where its plan was made for the same stages and nothing was edited since."""
    held = memory.manifest["data"].get("outline")
    standing = [row for row in memory.manifest["edits"] if row["stage"] != HEAD]
    return Outline.from_json(held).learned() if held and not standing else None


def probes_of(memory: Memory, classes: tuple[str, ...]) -> list[tuple[Row, Split]]:
    """Every probe of which the examples were kept, as a test split over ``classes``."""
    found = [(row, table.split("test", classes, memory.folder)) for row, table in memory.probes if table.has_examples]
    return [(row, split) for row, split in found if len(split)]


def assembled(news: News, memory: Memory, probes: list[tuple[Row, Split]], again: Rehearsal) -> dict[str, Split]:
    """What is learned, watched and tested: the new examples, with kept ones of what was known."""
    fresh, classes = news.dataset.splits, news.dataset.classes
    parts: dict[str, list[Split]] = {name: [fresh[name]] for name in ("train", "valid") if name in fresh}
    for name, tables in (("train", again.learned), ("valid", again.watching)):
        for table in tables:
            parts.setdefault(name, []).append(table.split(name, classes, memory.folder))
    parts["test"] = [*(split for _, split in probes), *([fresh["test"]] if "test" in fresh else [])]
    return {
        name: joined(name, [(part, np.ones(len(part), bool)) for part in parts[name]])
        for name in ("train", "valid", "test")
        if parts.get(name)
    }


def strategy_of(growth: Growth, choice: Choice) -> Strategy:
    asked = growth.request.strategy
    strategy = parse(asked) if isinstance(asked, str) else asked or parse(choice.strategy)
    if (choice.way == "statistics") != strategy.text.startswith("statistics"):
        raise RequestError(f"--strategy {strategy} with --way {choice.way}", f"way {choice.way} is carried out by {choice.strategy}",
                           "--way deep takes any strategy that trains by gradient; --way statistics takes --strategy statistics")  # fmt: skip
    return strategy


def head_of(strategy: Strategy) -> Statistics | None:
    """The head of statistics that a strategy asks for; it depends on no outline."""
    from regraft.plan.grammar import terms

    term = terms(strategy.text, what="strategy")[0]
    names = ("width", "how")
    return Statistics(**{**dict(zip(names, term.args, strict=False)), **term.kwargs}) if term.name == "statistics" else None


def summing_plan(job: GrownJob, strategy: Strategy, reasons: tuple[str, ...]) -> Plan:
    """A head made of statistics has no rate and no epochs: its settings are the parent's."""
    held = {**job.parent.manifest["plan"]["settings"], **job.request.settings}
    plan = Plan(task=job.dataset.task, model=job.reference, strategy=strategy.text, stages=(*job.outline.stage_names, "head"),
                phases=strategy(job.outline), settings=Settings.from_json(held), reasons=reasons, data=facts_of(job))  # fmt: skip
    return replace(plan, warnings=check(plan, job.outline), cost=cost.forecast(plan, job.outline, _cost_facts(job)))


def _cost_facts(job: GrownJob) -> cost.Facts:
    """At the rate that the parent's forecast was made at: measuring it anew would take longer than the step."""
    held = job.parent.manifest["plan"].get("cost", {}).get("phases", [])
    operations, seconds = (sum(phase.get(key, 0.0) for phase in held) for key in ("operations", "time_s"))
    lengths = job.encoded("train").lengths if "train" in job.dataset.splits else None
    return cost.Facts(
        num_train=len(job.dataset.splits.get("train", ())), num_test=len(job.dataset.splits.get("test", ())), num_classes=len(job.dataset.classes),
        mean_length=0.0 if lengths is None else float(np.mean(lengths)), start_s=time.perf_counter() - job.request.began,
        gflops=operations / seconds / 1e9 if operations and seconds else machine.measure().gflops,
    )  # fmt: skip


def stepping_plan(growth: Growth, job: GrownJob, strategy: Strategy, choice: Choice, *, memory: Memory, reasons: tuple[str, ...]) -> Plan:
    asked = growth.request.objective
    objectives = learned_from.settled(read(choice.objective if asked is None else asked), memory.store, parent=memory.record.digest)
    job.request = replace(job.request, strategy=strategy)
    under = _protected(memory)
    told = (*reasons, *learned_from.told(objectives, memory.store))
    plan = decide(job, machine.measure(), objectives=objectives, reasons=told, under=under)
    if choice.share == 1 or "epochs" in growth.request.settings:
        return plan
    usual, steps = plan.settings.epochs, len(job.dataset.splits["train"]) / plan.settings.batch_size
    epochs = max(1.0, round(min(choice.share * usual, ways.ENOUGH_STEPS / steps), 1))
    why = f"epochs {epochs:g} of the {usual:g} that are usual: most of what is learned is known, and the head is solved before the trunk moves and after"
    return decide(job, machine.measure(), objectives=objectives, reasons=(*told, why), under={**under, "epochs": epochs})


def _protected(memory: Memory) -> dict[str, Any]:
    """No second fit on valid: what watches there is to go on watching. Images are shown as they were to the parent, which may have found out that mirrored they
    are others; but not mixed, which a teacher's answers do not allow."""
    shown = {name: value for name, value in Plan.from_json(memory.manifest["plan"]).settings.augment if name not in MIXING}
    return {"refit": False, "wise_ft": 1.0, **({"augment": shown} if shown else {})}
