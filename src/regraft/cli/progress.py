"""Progress on stderr: a bar with loss, metric, rate and time left on a terminal; one line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from math import ceil
from typing import TYPE_CHECKING, Any

from regraft.cli.console import note, seconds_text

if TYPE_CHECKING:
    from regraft.train.history import EpochRecord, PhaseStart, StepRecord


def watcher(*, quiet: bool = False) -> Lines:
    """The right observer for where stderr goes."""
    return Bar() if sys.stderr.isatty() and not quiet else Lines(quiet=quiet)


class Lines:
    """One line a phase and an epoch. ``quiet``: none at all."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._phase: PhaseStart | None = None
        self._began = time.monotonic()

    def say(self, sentence: str) -> None:
        if not self._quiet:
            note(sentence)

    def on_work(self, what: str, done: int, total: int) -> None:
        """Work outside of the training steps: encoding, filling the cache. Said once, when it is done."""
        if total and done >= total and total > 1:
            self.say(f"{what}: {total:,}")

    def on_phase(self, phase: PhaseStart) -> None:
        self._phase, self._began = phase, time.monotonic()
        self.say(phase_text(phase))

    def on_step(self, record: StepRecord) -> None: ...

    def on_epoch(self, record: EpochRecord) -> None:
        self.say(epoch_text(record, self._phase))


class Bar(Lines):
    """A live bar for each phase, above it the lines of ``Lines``."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None
        self._metric = ""

    def say(self, sentence: str) -> None:
        self._progress.console.print(sentence, markup=False, highlight=False)

    def on_work(self, what: str, done: int, total: int) -> None:
        if self._task is None or self._progress.tasks[-1].description != what:
            self._show(what, total)
        self._progress.update(self._task, completed=done)
        if done >= total:
            self._hide()

    def on_phase(self, phase: PhaseStart) -> None:
        super().on_phase(phase)
        self._show(phase.name, phase.steps)

    def on_step(self, record: StepRecord) -> None:
        rate = record.step / max(time.monotonic() - self._began, 1e-9)
        facts = f"loss {record.loss:.3f}  lr {record.lr:.2g}  {rate:.1f} steps/s{self._metric}"
        self._progress.update(self._task, completed=record.step, facts=facts)

    def on_epoch(self, record: EpochRecord) -> None:
        super().on_epoch(record)
        self._metric = "".join(f"  {name} {value:.3f}" for name, value in list(record.valid.items())[:1])
        if self._phase and record.step >= self._phase.steps:
            self._hide()

    def _show(self, what: str, total: int) -> None:
        self._hide()
        self._task = self._progress.add_task(what, total=total, facts="")
        self._progress.start()

    def _hide(self) -> None:
        if self._task is not None:
            self._progress.stop()
            self._progress.remove_task(self._task)
            self._task = None


def phase_text(phase: PhaseStart) -> str:
    how = "solved in closed form" if phase.solver == "closed_form" else f"{phase.epochs:.3g} epochs, {phase.steps:,} steps"
    cached = ", frozen part read from the cache" if phase.cached else ""
    return f"phase {phase.index + 1} {phase.name}: {how}, {phase.trainable_parameters:,} parameters move{cached}"


def epoch_text(record: EpochRecord, phase: PhaseStart | None) -> str:
    """``  epoch 2/5  loss 0.4312  valid accuracy 0.8900  12.0 s``; a head that was solved has neither epochs nor a loss to tell."""
    valid = [f"valid {name} {value:.4f}" for name, value in record.valid.items()]
    told = (
        ["solved"]
        if record.loss is None
        else [f"epoch {record.epoch}" + (f"/{ceil(phase.epochs)}" if phase else ""), f"loss {record.loss:.4f}"]
    )
    return "  " + "  ".join([*told, *valid, seconds_text(record.seconds)])
