"""The objectives of a run as one: what its parts cost, what its parameters cost, and what else they do at a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from regraft.train.objective import Losses, Seen, Start, Term, check
from regraft.train.task_course import course
from regraft.train.task_losses import TaskLosses
from regraft.trunk.network import HEAD

if TYPE_CHECKING:
    from regraft.data.encode import Encoded
    from regraft.train.feed import Feed, Part
    from regraft.train.history import EpochRecord
    from regraft.train.run import Run
    from regraft.trunk.network import Network


class Terms:
    """The terms of a run in the order of its plan; without any there is the task's loss and nothing else. ``tasks``: of several tasks, what each of them costs in
    the batch of the step under way."""

    tasks: TaskLosses | None = None

    def __init__(self, terms: tuple[Term, ...] = (), *, repeats: bool = False, reach_for_parameters: bool = False) -> None:
        """``repeats``: does a step take the same parts through a network more than once? ``reach_for_parameters``: may a term look at parameters or
        their gradients by itself?"""
        self.terms, self.repeats, self.reach_for_parameters = terms, repeats, reach_for_parameters
        self.stages = tuple(dict.fromkeys(stage for term in terms for stage in term.stages))
        self.parameters = tuple(parameter for term in terms for parameter in term.parameters)

    @classmethod
    def begin(cls, run: Run, train: Encoded, asked: Mapping[Any, Any]) -> Terms:
        """Those of the plan of ``run``, whose network has the weights that it starts from."""
        start = Start(network=run.network, plan=run.plan, task=run.task, train=train, device=run.device, asked=asked)
        declared = check(run.plan.objectives)
        asked_for = [one.begin(start) for one in declared]
        own = (course(start),) if run.task.each else ()  # keeps the books, and never looks at a parameter
        reach = any(term.penalty or term.around or term.after_step for term in asked_for)
        return cls((*asked_for, *own), repeats=any(one.passes > 1 or one.forwards for one in declared), reach_for_parameters=reach)

    def enter_batch(self, run: Run, feed: Feed, parts: Sequence[Part], *, count: float) -> None:
        """A step begins, on ``parts`` of an effective batch of ``count`` examples."""
        if run.task.each:
            self.tasks = TaskLosses(run, parts, count=count, forward=partial(self._forward, run, feed))

    def _forward(self, run: Run, feed: Feed, part: Part) -> Tensor:
        with run.precision.autocast():
            return feed.logits(part.copied() if self.repeats else part).float()

    def share(self, run: Run, feed: Feed, part: Part, *, count: float) -> Tensor:
        """This part's share of the batch's mean: its sum over ``count``, the examples of the whole effective batch.

        Shares add up to the mean, and their gradients to its gradient, whatever the sizes of the parts.
        """
        forward = partial(self._forward, run, feed, part)

        above = [name for name in self.stages if run.network.stage_names.index(name) >= run.present.boundary]
        with tapped(run.network, above) as features:
            logits = forward()
        each, weights = self._by_task(run, logits, part)
        losses = self.losses(run, known=None if each is None else (logits, part.targets, each))
        summed = losses(logits, part.targets)
        seen = Seen(run=run, part=part, logits=logits, losses=losses, features=features, again=forward, each=each, weights=weights)
        for term in self.terms:
            if term.shares is not None:
                summed = summed + term.shares(seen)
        return summed.sum() / count

    def losses(self, run: Run, *, known: tuple[Tensor, Tensor, Tensor] | None = None) -> Losses:
        """The task's loss of each example, as every term in turn has changed it. ``known``: logits, targets, and of several tasks their losses (B, T) there."""

        def of_task(logits: Tensor, targets: Tensor) -> Tensor:
            smoothing = run.settings.label_smoothing
            if run.task.each:
                is_known = known is not None and logits is known[0] and targets is known[1]
                each: Tensor = known[2] if known is not None and is_known else run.task.each(logits, targets, label_smoothing=smoothing)
                return (each * self.weights(run)).sum(1)
            losses: Tensor = run.task.losses(logits, targets, label_smoothing=smoothing)
            return losses

        made: Losses = of_task
        for term in self.terms:
            made = term.losses(made) if term.losses is not None else made
        return made

    def weights(self, run: Run) -> Tensor:
        """(T,) float32: what each of several tasks counts in this step; 1 where no term says otherwise."""
        product = torch.ones(len(run.task.members), device=run.device)
        for term in self.terms:
            product = product * term.weights(run).to(product) if term.weights is not None else product
        return product

    def _by_task(self, run: Run, logits: Tensor, part: Part) -> tuple[Tensor | None, Tensor | None]:
        """Of several tasks the losses (B, T) and what they count (T,), which are noted."""
        if self.tasks is None:
            return None, None
        each = run.task.each(logits, part.targets, label_smoothing=run.settings.label_smoothing)
        self.tasks.note(each, run.task.present(part.targets))
        self.tasks.weights = self.weights(run)
        return each, self.tasks.weights

    def penalty(self, run: Run) -> Tensor | None:
        """What the parameters cost at this step; of several processes each adds its part."""
        found = [term.penalty(run) for term in self.terms if term.penalty is not None]
        return sum(found[1:], start=found[0]) / run.ranks.count if found else None

    def around(self, run: Run, gradients: Callable[[], Tensor]) -> Tensor:
        """The gradient in the parameters and the loss, made as the terms want it; the first one is the outermost."""
        made = gradients
        for term in reversed(self.terms):
            made = _around(term, run, made)
        return made()

    def after_step(self, run: Run) -> None:
        for term in self.terms:
            if term.after_step is not None:
                term.after_step(run)
        self.tasks = None

    def after_epoch(self, run: Run, record: EpochRecord) -> None:
        for term in self.terms:
            if term.after_epoch is not None:
                term.after_epoch(run, record)

    def state(self) -> list[Any]:
        """One entry for each term."""
        return [term.state() if term.state is not None else None for term in self.terms]

    def load(self, state: list[Any]) -> None:
        for term, held in zip(self.terms, state, strict=True):
            if term.load is not None:
                term.load(held)


def _around(term: Term, run: Run, inner: Callable[[], Tensor]) -> Callable[[], Tensor]:
    turn = term.around
    return inner if turn is None else lambda: turn(run, inner)


@contextmanager
def tapped(network: Network, stages: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Fills with what leaves each of ``stages`` in the forward to come: the output of its last module; of the head, what enters it."""
    found: dict[str, Tensor] = {}
    names = network.stage_names

    def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            value = args if name == HEAD else output
            found[name] = value[0] if isinstance(value, (tuple, list)) else value

        return hook

    handles = [network.stage_modules(names.index(name))[-1].register_forward_hook(keep(name)) for name in stages]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
