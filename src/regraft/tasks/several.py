"""Several tasks on the same inputs: heads side by side on one trunk, which runs once for all of them.

    trunk -> features -> one linear layer, whose rows are the heads' one after the other -> logits (B, K) -> a block of them for each task

The answers of the whole are the logits; each task reads its own. A target that is missing (NaN) costs nothing, and is not measured. Losses of one example are
added up; what each of them counts is for the objectives to say (``train.objectives``: task_weights, uncertainty, gradnorm, dwa, famo, pcgrad).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.data.several import labelled, own
from regraft.data.targets.several import blocks, widths
from regraft.errors import RequestError
from regraft.evaluate.bootstrap import Rows, Statistic
from regraft.evaluate.document import SCHEMA, nothing_of_classes
from regraft.evaluate.measure import measured
from regraft.spec import FORMS, OF_TASK
from regraft.surgery.heads import LinearHead
from regraft.tasks.task import Floats, Member, Mistake, Solved, Task
from regraft.trunk.trunk import Trunk

HEADLINE = "task_mean"
"""The mean of the tasks' own headlines."""
Find = Callable[[str], Task]


@dataclass(frozen=True, slots=True)
class Together:
    """The members, in the order of their blocks."""

    members: tuple[Member, ...]

    @property
    def num_targets(self) -> int:
        return self.members[-1].targets.stop

    @property
    def num_outputs(self) -> int:
        return self.members[-1].outputs.stop

    def head(self, trunk: Trunk, num_classes: int, dropout: float = 0.0) -> LinearHead:
        """Raises ``RequestError`` for a task whose head is more than a linear layer on pooled features."""
        for member in self.members:
            made = member.task.head(trunk, len(member.classes), dropout)
            if type(made) is not LinearHead:
                raise RequestError(f"learn {member.name!r} beside other tasks", f"the head of {member.task.name} is a {type(made).__name__}",
                                   "tasks whose heads are linear layers on pooled features; regraft grow --new-task adds others")  # fmt: skip
        return LinearHead(trunk.width, self.num_outputs, trunk.pooling, dropout)

    def each(self, logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """(B, T) the loss of each example at each task; 0 where it has no target."""
        columns = self._columns(targets)
        return torch.stack(
            [_loss(member, logits, column, label_smoothing) for member, column in zip(self.members, columns, strict=True)], 1
        )

    def present(self, targets: Tensor) -> Tensor:
        """(B, T) booleans: which targets are there."""
        return torch.stack([~column.isnan().any(1) for column in self._columns(targets)], 1)

    def _columns(self, targets: Tensor) -> list[Tensor]:
        """(B, width) of each task, as the data has them, or wider where examples were mixed."""
        plain = targets.shape[1] == self.num_targets
        sizes = [m.targets.stop - m.targets.start if plain else m.mixed for m in self.members]
        return list(targets.split(sizes, dim=1))

    def losses(self, logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """(B,) their sum: equal weights."""
        return self.each(logits, targets, label_smoothing).sum(1)

    def mixable(self, targets: Tensor, outputs: int) -> Tensor:
        """(B, k) each task's targets in the form in which they can be mixed; of two examples of which one has no target, neither has one."""
        return torch.cat([_mixable(member, targets[:, member.targets]) for member in self.members], 1)

    def parts(self, scores: Floats, targets: Floats) -> list[tuple[Member, NDArray[np.intp], NDArray[Any], NDArray[Any]]]:
        """For each task that has targets here: the rows that have them, its answers to these, and the targets as it reads them."""
        found = []
        for member in self.members:
            rows = labelled(targets, member.targets)
            if len(rows):
                found.append((member, rows, member.answers(scores[rows]), own(targets[rows], member.targets, member.task.form.target)))
        return found

    def statistics(self, scores: Floats, targets: Floats, classes: Sequence[str]) -> dict[str, Statistic]:
        found: dict[str, Statistic] = {}
        headlines = []
        for member, rows, answers, truth in self.parts(scores, targets):
            mine = {
                name: over(statistic, rows, len(targets))
                for name, statistic in member.task.statistics(answers, truth, member.classes).items()
            }
            headlines.append(mine[member.task.headline])
            found.update({f"{member.name}{OF_TASK}{name}": statistic for name, statistic in mine.items()})
        mean: Statistic = lambda rows: np.mean([statistic(rows) for statistic in headlines], axis=0)  # noqa: E731
        return {HEADLINE: mean, **found}

    def document(self, scores: Floats, targets: Floats, classes: Sequence[str]) -> dict[str, Any]:
        """The ``evaluate`` document; ``tasks``: that of each one, with its ``name``, ``task`` and ``headline``."""
        rows = [
            {"name": m.name, "task": m.task.name, "headline": m.task.headline, **m.task.document(answers, truth, m.classes)}
            for m, _, answers, truth in self.parts(scores, targets)
        ]
        mean = measured({HEADLINE: self.statistics(scores, targets, classes)[HEADLINE]}, len(targets))
        metrics = {f"{row['name']}{OF_TASK}{key}": metric for row in rows for key, metric in row["metrics"].items()}
        return {
            "schema": SCHEMA,
            "num_examples": len(targets),
            "metrics": {HEADLINE: mean[HEADLINE].json(), **metrics},
            **nothing_of_classes(),
            "tasks": rows,
        }

    def predictions(self, scores: Floats, classes: Sequence[str], inputs: Sequence[Any]) -> list[dict[str, Any]]:
        """For each input, under the name of each task, what that task says."""
        said = [member.task.predictions(member.answers(scores), member.classes, inputs) for member in self.members]
        names = [member.name for member in self.members]
        return [
            {
                "input": row[0]["input"],
                **{name: {key: value for key, value in one.items() if key != "input"} for name, one in zip(names, row, strict=True)},
            }
            for row in zip(*said, strict=True)
        ]

    def mistakes(self, scores: Floats, targets: Floats, classes: Sequence[str], most: int) -> list[Mistake]:
        """Of each task its worst, in equal numbers."""
        share = -(-most // len(self.members))
        return [
            Mistake(int(rows[one.row]), f"{member.name}: {one.label}", one.predicted, one.probability)
            for member, rows, answers, truth in self.parts(scores, targets)
            for one in member.task.mistakes(answers, truth, member.classes, share)
        ]

    def quality(self, scores: Floats, targets: Floats) -> NDArray[np.float64]:
        """(n,) the sum over the tasks that have a target."""
        total = np.zeros(len(targets))
        for member, rows, answers, truth in self.parts(scores, targets):
            total[rows] += member.task.quality(answers, truth)
        return total

    def solve(self, features: Floats, targets: Floats, *, num_outputs: int, seed: int, restraint: float) -> Solved:
        """Each head by itself, on the examples that have its target."""
        weights, biases = np.zeros((num_outputs, features.shape[1]), np.float32), np.zeros(num_outputs, np.float32)
        for member in self.members:
            rows = labelled(targets, member.targets)
            assert member.task.solve is not None
            width = member.outputs.stop - member.outputs.start
            truth = own(targets[rows], member.targets, member.task.form.target)
            weights[member.outputs], biases[member.outputs] = member.task.solve(
                features[rows], truth, num_outputs=width, seed=seed, restraint=restraint
            )
        return weights, biases

    def settle(self, facts: Mapping[str, Any], scores: Floats, targets: Floats) -> dict[str, Any]:
        """The facts of the tasks with what each of them decides on valid."""
        decided = {member.name: _settled(member, scores, targets) for member in self.members}
        return {"tasks": [{**task, "facts": {**task["facts"], **decided[task["name"]]}} for task in facts["tasks"]]}


def over(statistic: Statistic, rows: NDArray[np.intp], num_examples: int) -> Statistic:
    """``statistic`` of the examples at ``rows``, for draws of all ``num_examples``: of a draw the ones among ``rows`` count."""
    if len(rows) == num_examples:
        return statistic
    place = np.full(num_examples, -1, np.intp)
    place[rows] = np.arange(len(rows))

    def of_draws(drawn: Rows) -> NDArray[np.float64]:
        kept = [row[row >= 0] for row in place[drawn]]
        return np.concatenate([statistic(row[None]) if len(row) else np.zeros(1) for row in kept])

    return of_draws


def several(name: str, of: Find, facts: Mapping[str, Any] | None = None) -> Task:
    """The tasks of ``facts["tasks"]`` (``data.targets.several``) as one. ``of``: finds a task by its name."""
    known = dict(facts or {})
    together = Together(_members(known.get("tasks", ()), of))
    members = together.members
    fitting = [member.task.augmentations for member in members if member.task.augmentations is not None]
    return Task(
        name=name,
        form=replace(FORMS[name], of=tuple(member.task.form.target for member in members)),
        headline=HEADLINE,
        head=together.head,
        losses=together.losses,
        answers=lambda scores: scores,
        statistics=together.statistics,
        document=together.document,
        predictions=together.predictions,
        mistakes=together.mistakes,
        quality=together.quality,
        solve=together.solve if all(member.task.solve for member in members) else None,
        outputs=lambda num_classes: together.num_outputs,
        augmentations=frozenset.intersection(*fitting) if fitting else None,
        mixable=together.mixable,
        bind=partial(several, name, of),
        settle=partial(together.settle, known) if any(member.task.settle for member in members) else None,
        facts=known,
        members=members,
        each=together.each,
        present=together.present,
    )


def _members(tasks: Sequence[Mapping[str, Any]], of: Find) -> tuple[Member, ...]:
    bound = [of(task["task"]).bound(task["facts"]) for task in tasks]
    outputs = blocks([one.outputs(len(task["classes"])) for one, task in zip(bound, tasks, strict=True)])
    targets = blocks(widths(tasks, [one.form.target for one in bound]))
    rows = zip(tasks, bound, outputs, targets, strict=True)
    return tuple(Member(task["name"], one, tuple(task["classes"]), outputs=out, targets=place) for task, one, out, place in rows)


def _loss(member: Member, logits: Tensor, column: Tensor, label_smoothing: float) -> Tensor:
    missing = column.isnan().any(1)
    losses: Tensor = member.task.losses(logits[:, member.outputs], _read(member, column), label_smoothing=label_smoothing)
    return torch.where(missing, torch.zeros_like(losses), losses)


def _read(member: Member, column: Tensor) -> Tensor:
    """The targets as the task's own loss takes them; something in place of those that are missing."""
    filled = column.nan_to_num(0.0)
    if filled.shape[1] > 1 or member.task.form.target == "set":
        return filled
    return filled[:, 0] if member.task.form.target == "number" else filled[:, 0].long()


def _mixable(member: Member, column: Tensor) -> Tensor:
    width = member.outputs.stop - member.outputs.start
    made = member.task.mixable(_read(member, column), width).float()
    return made.masked_fill(column.isnan().any(1, keepdim=True), float("nan"))


def _settled(member: Member, scores: Floats, targets: Floats) -> dict[str, Any]:
    rows = labelled(targets, member.targets)
    if member.task.settle is None or not len(rows):
        return {}
    return member.task.settle(scores[rows][:, member.outputs], own(targets[rows], member.targets, member.task.form.target))
