"""The course of a phase: how many steps it has, and which rows each step learns from. A pure function of the plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from regraft.data.batching import training_batches
from regraft.data.encode import Encoded
from regraft.data.sampling import Drawn
from regraft.plan.plan import Plan


@dataclass(frozen=True, eq=False, kw_only=True)
class Course:
    """``steps`` of the phase, ``steps_per_epoch``; ``first_epoch``: number of its first epoch within the whole run, so that no two
    phases see the same order. The last epoch may be cut short. ``drawn``: which rows an epoch is made of, where that is not each of them once."""

    steps: int
    steps_per_epoch: int
    first_epoch: int
    seed: int
    batch_size: int
    lengths: NDArray[np.integer] | None
    num_examples: int
    drawn: Drawn | None = None

    @classmethod
    def of(cls, plan: Plan, phase: int, train: Encoded) -> Course:
        """An effective batch is ``batch_size`` times ``accumulate`` examples. A phase solved in closed form has no steps."""
        settings = plan.settings
        batch_size = settings.batch_size * settings.accumulate
        per_epoch = len(_batches(len(train), batch_size, settings.seed, 0, _Held(train.lengths)))
        steps = [_steps(plan, index, per_epoch) for index in range(phase + 1)]
        return cls(
            steps=steps[-1],
            steps_per_epoch=per_epoch,
            first_epoch=sum(math.ceil(count / per_epoch) for count in steps[:-1]),
            seed=settings.seed,
            batch_size=batch_size,
            lengths=train.lengths,
            num_examples=len(train),
            drawn=Drawn.of(train.targets, settings.sampling, settings.seed),
        )

    def epoch(self, step: int) -> int:
        """The epoch of the phase in which ``step`` lies, from 0."""
        return step // self.steps_per_epoch

    def rows(self, step: int) -> NDArray[np.integer]:
        epoch = self.first_epoch + self.epoch(step)
        if self.drawn is None:
            return _batches(self.num_examples, self.batch_size, self.seed, epoch, _Held(self.lengths))[step % self.steps_per_epoch]
        rows, lengths = self.drawn.epoch(epoch, self.lengths)
        return rows[_batches(len(rows), self.batch_size, self.seed, epoch, _Held(lengths))[step % self.steps_per_epoch]]

    def ends_epoch(self, done: int) -> bool:
        """Is an epoch, or the phase, over after ``done`` steps?"""
        return done % self.steps_per_epoch == 0 or done == self.steps


class _Held:
    """An array as an argument of a cached function, told apart by identity."""

    def __init__(self, array: NDArray[np.integer] | None) -> None:
        self.array = array

    def __hash__(self) -> int:
        return id(self.array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and self.array is other.array


@lru_cache(maxsize=4)
def _batches(n: int, batch_size: int, seed: int, epoch: int, lengths: _Held) -> Sequence[NDArray[np.integer]]:
    return training_batches(n, batch_size, seed=seed, epoch=epoch, lengths=lengths.array)


def _steps(plan: Plan, index: int, per_epoch: int) -> int:
    phase = plan.phases[index]
    if phase.solver == "closed_form":
        return 0
    return max(1, round(plan.settings.epochs * phase.epochs_fraction * per_epoch))
