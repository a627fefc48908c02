"""The batch of the step under way, seen task by task: what each of several tasks costs in it, before the update and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from regraft.train.seeding import seed_of, seed_torch

if TYPE_CHECKING:
    from regraft.train.feed import Part
    from regraft.train.run import Run


class TaskLosses:
    """``sums`` (T,) of the losses at each task, and ``counts`` (T,) of the examples that have its target, over the parts that the gradient has gone
    through so far, of this process; float64. ``count``: examples of the whole batch (infinite in a process that has none of them). ``ahead``: are
    ``losses`` wanted while the gradient is made? ``weights`` (T,): what the losses counted last. ``forward(part)``: logits, as the step computes them."""

    def __init__(self, run: Run, parts: Sequence[Part], *, count: float, forward: Callable[[Part], Tensor]) -> None:
        self.run, self.parts, self.count, self.forward = run, parts, count, forward
        self.weights: Tensor | None = None
        self.ahead = False
        self.start()

    def start(self) -> None:
        """A gradient is made from here on: nothing has been seen. What is wanted ``ahead`` and cannot be had on the way is looked at now."""
        width = len(self.run.task.members)
        self.sums, self.counts = (torch.zeros(width, dtype=torch.float64, device=self.run.device) for _ in range(2))
        whole = len(self.parts) == 1 and self.run.ranks.count == 1
        self._known: Tensor | None = self.look() if self.ahead and not whole else None

    def note(self, each: Tensor, present: Tensor) -> None:
        """What one more part shows: losses (B, T), and which targets are there (B, T)."""
        self.sums += each.detach().double().sum(0)
        self.counts += present.double().sum(0)

    def losses(self) -> Tensor:
        """(T,) what each task adds to the batch's mean under the weights that the step began with, for who has set ``ahead``. Free where the whole batch goes
        through at once; where it is cut into parts, a forward of all of them before the gradient is made."""
        if self._known is None:
            self._known = self.sums / self.count
        return self._known

    def means(self) -> Tensor:
        """(T,) the mean over the examples that have a target; NaN where none has."""
        added, share = self.shares()
        return added / share

    def shares(self) -> tuple[Tensor, Tensor]:
        """What each task adds to the batch's mean (T,), and which share of the batch has its target (T,); of all processes. Complete once the gradient is made."""
        return self.run.ranks.total(self.sums / self.count), self.run.ranks.total(self.counts / self.count)

    @torch.no_grad()
    def look(self) -> Tensor:
        """(T,) what each task adds to the batch's mean under the present weights, with the dropout of the step; it leaves no trace."""
        run = self.run
        buffers = [(buffer, buffer.clone()) for buffer in run.buffers]
        total = torch.zeros_like(self.sums)
        with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
            seed_torch(seed_of(run.settings.seed, run.phase, run.step), run.device)
            for part in self.parts:
                each = run.task.each(self.forward(part), part.targets, label_smoothing=run.settings.label_smoothing)
                total += each.double().sum(0)
        for buffer, before in buffers:
            buffer.copy_(before)
        return run.ranks.total(total / self.count)
