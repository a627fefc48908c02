"""The loop: one phase, step by step. It knows batches, gradients and the clock; no strategy, no edit, no kind of input."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass

from regraft.data.encode import Encoded
from regraft.train import recovery, step
from regraft.train.ahead import ahead
from regraft.train.checkpoint import BEST, GOOD, GOOD_STEPS, LAST, Checkpoints
from regraft.train.course import Course
from regraft.train.feed import Feed, Part
from regraft.train.history import EpochRecord, Observer, StepRecord
from regraft.train.interrupt import StopRequest, interrupted
from regraft.train.meter import Meter, NonFinite
from regraft.train.run import Run
from regraft.train.seeding import seed_of
from regraft.train.validation import Seen, is_better, validate

RECORDS = 200
"""About so many step records are kept of a phase."""


@dataclass(eq=False, kw_only=True)
class Loop:
    """``feed`` brings the training split, ``valid`` (its feed and the split itself) what early stopping watches."""

    run: Run
    course: Course
    feed: Feed
    valid: tuple[Feed, Encoded] | None
    checkpoints: Checkpoints
    observer: Observer
    stop: StopRequest

    def __post_init__(self) -> None:
        self.meter = Meter(self.run.ranks)
        self.waits = self.run.device.type != "cpu"
        self.interval = max(10 if self.waits else 1, self.run.steps // RECORDS)

    def execute(self) -> None:
        while not self._is_done():
            self._stretch()

    def _is_done(self) -> bool:
        patience = self.run.settings.patience
        return self.run.step >= self.run.steps or bool(patience and self.run.stale >= patience)

    def _stretch(self) -> None:
        """Steps until the phase is over, or until what was prepared ahead is no longer what is needed."""
        with closing(ahead(self._make, self.run.step, self.run.steps)) as batches:
            for parts, count in batches:
                buffers = [buffer.clone() for buffer in self.run.buffers]
                failure = self._learn(parts, count)
                if failure is not None:
                    break
                self.run.step += 1
                self._after_step()
                if self._is_done():
                    return
        self.meter.forget()
        if isinstance(failure, NonFinite):
            recovery.recover(self.run, self.checkpoints, feed=self.feed, parts=parts)
        elif failure is not None:
            recovery.shrink(self.run, failure, buffers=buffers)

    def _make(self, index: int) -> tuple[list[Part], float]:
        """The parts of step ``index`` that this process computes, and the examples of the whole batch."""
        rows = self.course.rows(index)
        mine, count = self.run.ranks.mine(rows), float(len(rows))
        if not len(mine):  # every process takes part in every step; this one adds nothing
            mine, count = rows[:1], math.inf
        seed = seed_of(self.run.settings.seed, "augment", self.run.phase, index, self.run.ranks.rank)
        epoch = self.course.first_epoch + self.course.epoch(index)
        return self.feed.parts(mine, size=self.run.micro_batch, seed=seed, epoch=epoch), count

    def _learn(self, parts: list[Part], count: float) -> NonFinite | RuntimeError | None:
        """One step; what kept it from being taken, where something did. The error comes without the tensors it saw."""
        run = self.run
        try:
            loss = step.gradients(run, self.feed, parts, count=count)
            self.meter.note(loss, step.clip(run))
            if self._reads():
                self.meter.read()
            step.update(run, run.lr(run.step))
        except NonFinite as error:
            return error
        except RuntimeError as error:
            if not recovery.is_out_of_memory(error):
                raise
            return error.with_traceback(None)
        return None

    def _reads(self) -> bool:
        done = self.run.step + 1
        is_first = math.isnan(self.meter.loss)
        return not self.waits or is_first or done % self.interval == 0 or self.course.ends_epoch(done) or bool(self.stop)

    def _after_step(self) -> None:
        run, done = self.run, self.run.step
        record = StepRecord(phase=run.phase, step=done, epoch=done / self.course.steps_per_epoch, loss=self.meter.loss,
                            lr=run.lr(done - 1), seconds=run.seconds)  # fmt: skip
        if done % self.interval == 0 or done == run.steps:
            run.history.steps.append(record)
        ended = self.course.ends_epoch(done)
        if ended:
            self._end_epoch(record)
        self._save(ended)
        self.observer.on_step(record)
        if ended:
            self.observer.on_epoch(run.history.epochs[-1])

    def _end_epoch(self, record: StepRecord) -> None:
        run = self.run
        run.ranks.share_buffers(run.buffers)
        seen = validate(run, *self.valid) if self.valid else Seen({}, None)
        epoch = EpochRecord(
            phase=run.phase, epoch=math.ceil(record.epoch), step=record.step, loss=record.loss, valid=seen.values, seconds=run.seconds
        )
        run.history.epochs.append(epoch)
        run.terms.after_epoch(run, epoch)
        if not run.settings.patience:
            run.history.answers = seen.answers
        if not seen.values:
            return
        value = seen.values[run.task.headline]
        run.stale = 0 if is_better(value, run.best, run.task.headline) else run.stale + 1
        if run.stale == 0 or value == run.best:  # of two equal epochs the later one, which has seen more
            run.best = value
            run.history.best = {"phase": run.phase, "epoch": epoch.epoch, "value": value}
            if run.settings.patience:
                run.history.answers = seen.answers
                self.checkpoints.save(BEST, {"tensors": run.averaged_tensors()})

    def _save(self, epoch_ended: bool) -> None:
        run, per_epoch = self.run, self.course.steps_per_epoch
        if run.ranks.any(bool(self.stop)):
            self.checkpoints.save(LAST, run.state())
            raise interrupted(self.stop, f"step {run.step} of {run.steps} in phase {run.present.name!r}")
        if epoch_ended and run.step % (per_epoch * math.ceil(GOOD_STEPS / per_epoch)) == 0:
            self.checkpoints.save(GOOD, run.state())
        elif self.checkpoints.is_due(epoch_ended=epoch_ended):
            self.checkpoints.save(LAST, run.state())
