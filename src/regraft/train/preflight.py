"""Preflight (DESIGN 5): before anything is spent, a few steps on a few examples show that every phase does what the grid says.

    mask      where targets have places, some of them are learned
    reach     a gradient reaches every trainable stage, and no frozen parameter
    move      after a step trainable stages have moved, and frozen ones are byte-equal, buffers included
    save      saved, spoiled and loaded again, the network gives the same logits
    resume    two steps after a resume equal two steps without
    merge     an edit that can be merged gives the same logits merged

Each phase is tried on the model as it came, and the model is afterwards as it came.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regraft.data.encode import Encoded
from regraft.errors import PreflightError, TrunkError
from regraft.plan.plan import Plan
from regraft.surgery import edits
from regraft.train import step
from regraft.train.course import Course
from regraft.train.feed import LiveFeed, Part
from regraft.train.recovery import is_out_of_memory, out_of_memory
from regraft.train.restored import restored
from regraft.train.run import Run
from regraft.train.terms import Terms
from regraft.train.transition import remove_edits, set_modes
from regraft.trunk.network import Network
from regraft.trunk.tensors import stage_digest

EXAMPLES = 4
MERGED_TOLERANCE = 1e-3
"""Largest difference of merged and unmerged logits, relative to the largest logit; the law's 1e-5 is for one layer in fp32."""
DEVICE_TOLERANCE = 1e-2
"""The same for two steps after a resume, on devices whose sums are not in a fixed order."""


def check(network: Network, plan: Plan, task: Any, data: Mapping[str, Encoded | None], *, terms: Terms | None = None) -> None:
    """Raise ``PreflightError``, naming stage and reason, where a phase would not do what the plan says. ``terms``: the objectives, if any."""
    train = data["train"]
    assert train is not None
    _mask_is_filled(train)
    for index, phase in enumerate(plan.phases):
        touched = [i for i, cell in enumerate(phase.cells) if cell.trainable or cell.edit is not None]
        for at_once in (EXAMPLES, 1) if phase.solver == "gradient" else ():
            run = Run.of(network, plan, task, phase=index)
            run.micro_batch = at_once
            run.terms = terms or run.terms
            try:
                with restored(network, touched, terms=run.terms):
                    _Trial(run, train).go()
                break
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if at_once == 1:
                    raise out_of_memory(run, error) from error


def _mask_is_filled(train: Encoded) -> None:
    if train.learned is not None and not train.learned.any():
        raise PreflightError(f"preflight of {len(train):,} training examples", "the target mask is empty: not one of their tokens is learned",
                             "a template that writes the answers, or a larger --set max_length; regraft plan shows what is learned")  # fmt: skip


class _Trial:
    """One phase, tried on the first examples of its first batch."""

    def __init__(self, run: Run, train: Encoded) -> None:
        self.run = run
        self.network = run.network
        self.feed = LiveFeed(network=run.network, encoded=train, device=run.device)
        rows = Course.of(run.plan, run.phase, train).rows(0)[:EXAMPLES]
        self.parts: list[Part] = self.feed.parts(rows, size=run.micro_batch, seed=0, epoch=0)
        self.count = len(rows)
        self.names = run.network.stage_names

    def go(self) -> None:
        try:
            self.run.enter(1)
            self.reach_and_move()
            self.save_and_resume()
            self.merge()
        finally:
            remove_edits(self.network, self.run.standing)

    def reach_and_move(self) -> None:
        before = [stage_digest(self.network, index) for index in range(len(self.names))]
        moving = {one.stage for one in self.run.chosen}
        reached: set[int] = set()
        for _ in range(2):  # what starts at zero, as one half of a LoRA does, lets a gradient through from the second step on
            self._gradients()
            reached |= {one.stage for one in self.run.chosen if one.parameter.grad is not None and bool(one.parameter.grad.any())}
            self._frozen_have_no_gradient()
            self._update()
        for index in sorted(moving - reached):
            raise self._error(index, "no gradient reaches it", "freeze it, or look whether the model uses it at all")
        for index, cell in enumerate(self.run.present.cells):
            moved = stage_digest(self.network, index) != before[index]
            if moved and not cell.trainable:
                raise self._error(index, "it is frozen and changed in a step", "report this with the model's name")
            if not moved and index in moving:
                raise self._error(index, f"it did not move in two steps at rate {self._lr * cell.lr_scale:g}", "a higher --lr")

    def save_and_resume(self) -> None:
        run = self.run
        with tempfile.TemporaryDirectory() as folder:  # on disk, not in memory: the state is three times the weights
            file = Path(folder) / "state.pt"
            torch.save(run.state(), file)
            logits = self._logits()
            ahead = self._two_steps()
            run.load(torch.load(file, weights_only=True, mmap=True))
        again = self._logits()
        if not _is_same(logits, again):
            raise self._error(None, f"saved and loaded, its logits differ by {_difference(logits, again):.2g}",
                              "report this with the model's name: part of its state is in no parameter or buffer")  # fmt: skip
        resumed = self._two_steps()
        exact = run.device.type == "cpu"
        if not (_is_same(ahead, resumed) if exact else _difference(ahead, resumed) <= DEVICE_TOLERANCE):
            raise self._error(None, f"two steps after a resume differ from two steps without by {_difference(ahead, resumed):.2g}",
                              "report this with the model's name: it draws random numbers of its own, or keeps state elsewhere")  # fmt: skip

    def merge(self) -> None:
        """Merges what can be; the records of it are dropped, as there is nothing left to undo."""
        records = self.run.standing.records
        for index in list(records):
            unmerged = self._logits()
            try:
                edits.merge(self.network, records[index])
            except TrunkError:  # not a linear edit
                continue
            del records[index]
            difference = _difference(unmerged, self._logits())
            if not difference <= MERGED_TOLERANCE and bool(torch.isfinite(unmerged).all()):
                raise self._error(
                    index, f"merged and unmerged logits differ by {difference:.2g}", "keep it unmerged, or another variant of the edit"
                )

    @property
    def _lr(self) -> float:
        """A tenth of the peak, about where the warm-up begins: whether the peak itself is too high is for the loop to find."""
        return 0.1 * self.run.settings.lr * self.run.present.lr_scale

    def _gradients(self) -> None:
        step.gradients(self.run, self.feed, self.parts, count=self.count)
        step.clip(self.run)

    def _update(self) -> None:
        step.update(self.run, self._lr)
        self.run.step += 1

    def _two_steps(self) -> Tensor:
        for _ in range(2):
            self._gradients()
            self._update()
        return self._logits()

    def _logits(self) -> Tensor:
        self.network.eval()
        with torch.no_grad():
            logits = torch.cat([self.feed.logits(part).float().flatten() for part in self.parts])
        set_modes(self.network, self.run.present.cells, self.run.settings.batch_norm)
        return logits

    def _frozen_have_no_gradient(self) -> None:
        chosen = set(self.run.parameters)
        for index in range(len(self.names)):
            for name, parameter in self.network.stage_parameters(index):
                if parameter.grad is not None and parameter not in chosen:
                    raise self._error(index, f"its frozen {name} received a gradient", "report this with the model's name")

    def _error(self, index: int | None, found: str, advice: str) -> PreflightError:
        where = f"stage {self.names[index]!r} in " if index is not None else ""
        return PreflightError(f"preflight of {where}phase {self.run.present.name!r}", found, advice)


def _is_same(one: Tensor, other: Tensor) -> bool:
    """Byte for byte: two NaN are the same."""
    return torch.equal(one.view(torch.int32), other.view(torch.int32))


def _difference(one: Tensor, other: Tensor) -> float:
    """Largest difference, relative to the largest value (at least 1)."""
    return float((one - other).abs().max() / one.abs().max().clamp(min=1.0))
