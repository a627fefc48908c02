"""A new task: a further head on the trunk of a generation. The head is a generation of its own, a child whose frozen stages are the parent's, byte for
byte and stored once; the parent is not touched, so that what it answers cannot change.

parent's network, its head off --new head--> plan (the trunk frozen, unless the strategy says otherwise) --> test, beside a single-task control --> child
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from regraft import tasks
from regraft.data.dataset import Dataset, fingerprint
from regraft.errors import RegraftError, RequestError
from regraft.grow.asked import Growth, Hooks
from regraft.grow.gate import Gate
from regraft.grow.learning import job_of
from regraft.grow.memory import Memory
from regraft.grow.news import joined
from regraft.grow.parent import GrownJob
from regraft.grow.resembling import resembling
from regraft.plan.strategy import parse
from regraft.tasks import Task
from regraft.train.closed_form import keys_of
from regraft.train.objective import read
from regraft.trunk import machine
from regraft.trunk.network import HEAD, Network
from regraft.trunk.tensors import digests
from regraft.tune import keeping, learned_from
from regraft.tune.decide import decide
from regraft.tune.execute import Execution, Measured
from regraft.tune.job import open_data, open_job

STRATEGY, UNSOLVED = "linear_probe", "top(n=0)"
"""Where the plan says nothing: the head alone, solved, or trained where the task has none that can be."""
EVERY = "all"
"""What ``regraft predict --head`` calls all heads together."""


@dataclass(eq=False, kw_only=True)
class HeadJob(GrownJob):
    """A job whose network is the parent's with a head of its own: a fresh one for another task; of the parent's own task, where that carries over what a
    head has learned, one that begins with it."""

    def _head(self, network: Network, old: list[str], dropout: float) -> nn.Module:
        made, classes = self.task.head(network.trunk, len(self.dataset.classes), dropout), self.dataset.classes
        return self.task.carry(network.head, made, old, classes) if self.task.carry and self.is_same_task else made

    @property
    def is_same_task(self) -> bool:
        return bool(self.parent.manifest["task"] == self.dataset.task)

    def told(self) -> list[str]:
        """What the head begins with, where it is not fresh."""
        if not self.task.carry or not self.is_same_task:
            return []
        known = set(self.parent.manifest["classes"])
        fresh = ", ".join(repr(one) for one in self.dataset.classes if one not in known)
        begins = f"the head begins with what {self.parent.name} learned of the {len(self.dataset.classes)} classes"
        return [f"{begins}, but for {fresh}, which it does not know" if fresh else begins]


@dataclass(eq=False, kw_only=True)
class Branching(Execution):
    """``head``: its name. ``controlled``: train the same plan on the pretrained model too, and compare."""

    memory: Memory
    head: str
    gate: Gate
    controlled: bool = True

    def base(self) -> str | None:
        return self.memory.record.base

    def judged(self, network: Network, measured: dict[str, Measured]) -> dict[str, Any]:
        shared, own = self._stages(network)
        return {
            "head": {"name": self.head, "of": self.memory.record.digest},
            "sharing": {"shared": shared, "own": own},
            "control": self._control(measured) if self.controlled and "test" in measured else None,
            "retention": [],
            "gate": {"tolerance": self.gate.tolerance, "passed": True, "lost": [], "unmeasured": [], "accepted": None},
        }

    def _stages(self, network: Network) -> tuple[list[str], list[str]]:
        """Names of the stages that are the parent's, bit for bit, and of those that are not; the head is not among them."""
        theirs, mine = ({name: row["digest"] for name, row in self.store.table(self.memory.record).items()}, digests(network))
        own = []
        for index, stage in enumerate(network.trunk.stage_names):
            names = [name for name, _ in (*network.stage_parameters(index), *network.stage_buffers(index)) if name in mine]
            own += [] if all(theirs.get(name) == mine[name] for name in names) else [stage]
        return [name for name in network.trunk.stage_names if name not in own], [*own, HEAD]

    def _control(self, measured: dict[str, Measured]) -> dict[str, Any]:
        """The same plan on the pretrained model alone: its test metrics, and the verdict on the further head against it."""
        asked = replace(self.job.request, model=self.memory.manifest["model"], task=self.job.dataset.task)
        try:
            job = open_job(asked, self.job.dataset, self.memory.manifest["model"], self.job.work)
            plan = replace(decide(job, machine.measure(), objectives=self.plan.objectives), settings=self.plan.settings)
            run = Execution(job=job, plan=plan, store=self.store, name=f"{self.name}-control")
            answers = run.measured("test")
        except RegraftError as error:
            return {"model": self.memory.manifest["model"], "metrics": None, "verdict": None, "why": f"{error.asked}: {error.found}"}
        task: Task = self.job.task
        one, other = (task.answers(each.scores) for each in (measured["test"], answers))
        verdict = task.compare(one, other, np.asarray(answers.encoded.targets), self.job.dataset.classes)
        return {"model": plan.model, "metrics": {"test": answers.document["metrics"]}, "verdict": verdict.json()}

    def kept(self, network: Network) -> list[tuple[dict[str, Any], bytes]]:
        if self.job.dataset.form.target != "class":
            return []
        return keeping.kept(self.job, self.plan.settings, network, name=self.name, cache=self.cache)


def branching(growth: Growth, memory: Memory, hooks: Hooks) -> Branching:
    """The execution that puts a head called ``growth.new_task`` on the trunk of ``memory.record``; the plan has been shown.

    Raises ``RequestError`` where the trunk reads another kind of input.
    """
    assert growth.new_task is not None
    if growth.new_task == EVERY:
        raise RequestError(f"--new-task {EVERY}", "that word means every head at once", "another name for the head")
    record, request = memory.record, growth.request
    dataset, said = _sided(open_data(request, hooks.work), memory)
    if dataset.kind != record.manifest["input"]["kind"]:
        raise RequestError(f"grow {record.name} with {request.data}", f"its trunk takes {record.manifest['input']['kind']}, the data is {dataset.kind}",
                           "regraft tune, with a model for this kind of input")  # fmt: skip
    usual = STRATEGY if tasks.of(dataset.task).solve else UNSOLVED
    request = replace(request, strategy=request.strategy or usual)
    strategy = parse(request.strategy) if isinstance(request.strategy, str) else request.strategy
    job = job_of(replace(growth, request=request), memory, hooks, dataset=dataset, kind=HeadJob)
    assert strategy is not None and isinstance(job, HeadJob)
    job.merging = any(cell.trainable or cell.edit for phase in strategy(job.outline) for cell in phase.cells[:-1])
    objectives = learned_from.settled(read(request.objective), memory.store, parent=record.digest)
    reasons = (f"new task: a further head, {growth.new_task!r}, on the trunk of {record.name}, which stays as it is", *job.told(), *said)
    run = Branching(
        job=job, plan=decide(job, machine.measure(), objectives=objectives, reasons=reasons), store=memory.store,
        name=request.name or f"{record.name}.{growth.new_task}", observer=hooks.observer, command=hooks.command, resume=growth.resume,
        parent=record.digest, memory=memory, head=growth.new_task, gate=growth.gate, controlled=growth.control,
    )  # fmt: skip
    if hooks.on_plan:
        hooks.on_plan(run.plan)
    return run


def _sided(dataset: Dataset, memory: Memory) -> tuple[Dataset, list[str]]:
    """What anyone in the family was tested on is a test here too: the trunk may not have learned it when it is measured."""
    tested = np.fromiter(memory.tested, np.uint64)
    held = {
        name: np.isin(keys_of(split.digests), tested) | resembling(split, memory)
        for name, split in dataset.splits.items()
        if name != "test"
    }
    moved = sum(int(rows.sum()) for rows in held.values())
    if not moved:
        return dataset, []
    test = [(dataset.splits["test"], np.ones(len(dataset.splits["test"]), bool))] if "test" in dataset.splits else []
    splits = {name: joined(name, [(dataset.splits[name], ~rows)]) for name, rows in held.items()}
    splits["test"] = joined("test", [*test, *((dataset.splits[name], rows) for name, rows in held.items())])
    splits = {name: split for name, split in splits.items() if len(split)}
    if "train" not in splits:
        raise RequestError(
            f"grow {memory.record.name} with {dataset.reference}", "every example was a test example of an ancestor", "more data"
        )
    said = [f"{moved:,} examples to learn from are test examples of an ancestor, or nearly: they stay that"]
    return replace(dataset, splits=splits, fingerprint=fingerprint(dataset.task, dataset.classes, splits)), said
