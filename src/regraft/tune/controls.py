"""What several tasks learned together are held against: all of them with equal weights, and each of them by itself, under the same plan.

A task that is better by itself, beyond the interval of a paired comparison, has lost by the others: negative transfer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.data.several import alone, labelled, own
from regraft.errors import RegraftError
from regraft.plan.objective import Objectives
from regraft.plan.plan import Plan
from regraft.tasks.task import Member
from regraft.train.objective import declared
from regraft.tune.job import Job, facts_of

if TYPE_CHECKING:
    from regraft.tune.execute import Execution, Measured

EQUAL = "equal weights"
TRANSFER = {"better": "positive", "worse": "negative", "tie": "none"}
Row = dict[str, Any]


def unweighed(objectives: Objectives) -> Objectives:
    """Those that do more than say what each task counts."""
    return tuple(one for one in objectives if not declared(one).weighs)


def runs(plan: Plan, job: Job) -> float:
    """How many runs as long as this one the controls take together."""
    if not job.task.members or not plan.settings.controls:
        return 0.0
    train = job.dataset.splits["train"]
    shares = [len(labelled(train.targets, member.targets)) / max(1, len(train)) for member in job.task.members]
    return sum(shares) + (plan.objectives != unweighed(plan.objectives))


def told(plan: Plan, job: Job) -> tuple[str, ...]:
    """What a plan says of several tasks: the heads, what each counts, and the controls. Nothing of one."""
    members, train = job.task.members, job.dataset.splits["train"]
    if not members:
        return ()
    heads = [f"{one.name} ({one.task.name}, {_rows(one)}, {len(labelled(train.targets, one.targets)):,} examples)" for one in members]
    weighing = [str(one) for one in plan.objectives if declared(one).weighs]
    counted = f"what each counts is for {' + '.join(weighing)} to say" if weighing else "each counts the same"
    said = (f"{len(members)} heads side by side, one pass of the trunk for all: {', '.join(heads)}; {counted}",)
    if not plan.settings.controls:
        return (*said, "no controls: whether a task gains or loses by the others is not measured (--set controls=true)")
    equal = f"all with {EQUAL} and " if weighing else ""
    return (
        *said,
        f"controls: {equal}each task by itself, trained under the same plan to compare; they are part of the forecast (--set controls=false leaves them out)",
    )


def _rows(member: Member) -> str:
    count = member.outputs.stop - member.outputs.start
    return f"{count} output{'s' * (count > 1)}"


@dataclass(eq=False)
class Controls:
    """``split``: where they are compared: test, or valid where there is no test."""

    execution: Execution
    measured: Measured

    def facts(self) -> dict[str, Any]:
        """``tasks``: for each ``{name, task, headline, metrics, alone, equal, transfer, said}``; ``alone`` and ``equal`` hold the control's ``metrics`` and the
        ``verdict`` on the head against it, or ``why`` there is none."""
        equal = self._equal()
        return {"tasks": [self._row(member, equal) for member in self.execution.job.task.members]}

    def _row(self, member: Member, equal: Measured | Row | None) -> Row:
        of_all = next((row for row in self.measured.document["tasks"] if row["name"] == member.name), None)
        if of_all is None:
            return {
                "name": member.name,
                "task": member.task.name,
                "headline": member.task.headline,
                "metrics": {},
                "said": "no example of the split has its target",
            }
        by_itself = self._alone(member)
        row = {
            "name": member.name, "task": member.task.name, "headline": member.task.headline, "metrics": of_all["metrics"], "split": self.measured.split,
            "alone": by_itself, "equal": equal if equal is None or isinstance(equal, dict) else self._beside(member, equal),
            "transfer": TRANSFER[by_itself["verdict"]["verdict"]] if by_itself.get("verdict") else None,
        }  # fmt: skip
        return {**row, "said": sentence(row)}

    def _alone(self, member: Member) -> Row:
        job, run = self.execution.job, self.execution
        dataset = alone(job.dataset, member.name)
        request = replace(job.request, task=member.task.name, target=member.name)
        single = replace(job, request=request, dataset=dataset, settled={}, _encoded={}, _packed={})
        plan = replace(self._plan(), task=member.task.name, data=facts_of(single))
        try:
            found = replace(run, job=single, plan=plan, name=f"{run.name}-{_plain(member.name)}-alone").measured(self.measured.split)
        except RegraftError as error:
            return {"metrics": None, "verdict": None, "why": f"{error.asked}: {error.found}"}
        targets = np.asarray(self.measured.encoded.targets)
        rows = labelled(targets, member.targets)
        truth = own(targets[rows], member.targets, member.task.form.target)
        verdict = member.task.compare(member.answers(self.measured.scores[rows]), single.task.answers(found.scores), truth, member.classes)
        return {"metrics": found.document["metrics"], "verdict": verdict.json()}

    def _equal(self) -> Measured | Row | None:
        """The run with equal weights; ``None`` where this is it, a row that says why where it could not be."""
        run = self.execution
        if run.plan.objectives == unweighed(run.plan.objectives):
            return None
        try:
            return replace(run, job=replace(run.job, settled={}), plan=self._plan(), name=f"{run.name}-equal").measured(self.measured.split)
        except RegraftError as error:
            return {"metrics": None, "verdict": None, "why": f"{error.asked}: {error.found}"}

    def _beside(self, member: Member, equal: Measured) -> Row:
        verdict = member.compare(member, self.measured.scores, equal.scores, np.asarray(self.measured.encoded.targets))
        metrics = next(row["metrics"] for row in equal.document["tasks"] if row["name"] == member.name)
        return {"metrics": metrics, "verdict": verdict.json()}

    def _plan(self) -> Plan:
        """The same grid and settings, every task counting the same."""
        plan = self.execution.plan
        return replace(plan, objectives=unweighed(plan.objectives), settings=replace(plan.settings, controls=False))


def sentence(row: Row) -> str:
    """How the task fared beside its controls."""
    told = [
        f"{row['headline']} {row['metrics'][row['headline']]['value']:.3f}",
        *_told(row, "alone", "by itself"),
        *_told(row, "equal", f"with {EQUAL}"),
    ]
    named = {"negative": "; negative transfer: it is better by itself", "positive": "; positive transfer: it gains by the others"}
    return f"{row['name']}: {', '.join(told)}{named.get(row['transfer'] or '', '')}"


def _told(row: Row, control: str, words: str) -> Iterator[str]:
    held = row[control]
    if held and held["metrics"]:
        difference = held["verdict"]["difference"]
        value = held["metrics"][row["headline"]]["value"]
        yield f"{words} {value:.3f} ({difference['value']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}], {held['verdict']['verdict']})"
    elif held:
        yield f"{words} not measured ({held['why']})"


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
