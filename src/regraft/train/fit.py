"""``fit``: a network, a plan, a task and data in; the network trained, and the history of it, out.

preflight -> for each phase: transition -> feeds -> closed form, or the loop -> best weights -> next phase -> drift
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from regraft.errors import PlanError
from regraft.plan.plan import Plan
from regraft.train import closed_form, preflight
from regraft.train.checkpoint import BEST, ENTRY, GOOD, LAST, Checkpoints
from regraft.train.compiled import compiled
from regraft.train.course import Course
from regraft.train.drift import Drift
from regraft.train.history import EpochRecord, History, Observer, PhaseStart, Silent
from regraft.train.interrupt import StopRequest, interrupted, listening
from regraft.train.loop import Loop
from regraft.train.run import Run
from regraft.train.source import Source
from regraft.train.terms import Terms
from regraft.train.used_rows import used_rows
from regraft.train.validation import is_better, validate
from regraft.trunk.network import Network


def fit(
    network: Network,
    plan: Plan,
    task: Any,
    data: Mapping[str, Any],
    *,
    folder: Path,
    cache: Any = None,
    observer: Observer | None = None,
    resume: bool = False,
) -> History:
    """Train ``network`` in place as ``plan`` says.

    ``data``: ``{"train": Encoded, "valid": Encoded or None}``, and under ``asked`` what the plan's objectives ask for
    (``objective.Ask`` -> what it says). ``folder``: for checkpoints, made if need be. ``resume``: go on from the
    furthest checkpoint there, if any; on a CPU the weights end bit-identical to those of a run that was never stopped.
    Raises ``PreflightError``, ``TrainingDiverged``, ``OutOfMemory``, ``Interrupted`` (saved, can be resumed).
    """
    train, valid = data["train"], data.get("valid")
    if train is None or not len(train):
        raise PlanError("train", "the training split is empty", "data with at least one example to learn from")
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(folder, {"plan": plan.digest, "data": train.fingerprint})
    state = checkpoints.latest() if resume else None
    run = Run.of(network, begun(plan, state) if state else plan, task, precision=state["precision"] if state else None)
    checkpoints.writes = run.ranks.is_first
    run.terms = Terms.begin(run, train, data.get("asked") or {})
    run.rows = None if run.terms.reach_for_parameters else used_rows(run.network, run.plan, train)
    with listening() as stop, torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
        try:
            return _Fitting(run, Source(run, train, valid, cache), checkpoints, observer=observer or Silent(), stop=stop).go(state)
        finally:
            if run.rows:
                run.rows.remove()


def begun(plan: Plan, state: Mapping[str, Any]) -> Plan:
    """``plan`` with what lies below each boundary kept or computed anew as when the run began: that is chosen by rates measured at the moment, and the two round otherwise."""
    phases = tuple(replace(phase, live=why) for phase, why in zip(plan.phases, state["live"], strict=True))
    return replace(plan, phases=phases)


class _Fitting:
    """The phases of one run, one after the other."""

    def __init__(self, run: Run, source: Source, checkpoints: Checkpoints, *, observer: Observer, stop: StopRequest) -> None:
        self.run, self.source, self.checkpoints, self.observer, self.stop = run, source, checkpoints, observer, stop
        self.drift = Drift(run.network, run.plan, checkpoints.folder)

    def go(self, state: dict[str, Any] | None) -> History:
        """From ``state``, where there is one, else from the start."""
        run = self.run
        if state is None:
            self._begin()
        else:
            self._replay(state)
        while run.phase < len(run.plan.phases):
            self._phase()
            run.leave()
            if self.stop:
                self.checkpoints.save(LAST, run.state())
                raise interrupted(self.stop, f"phase {run.phase} of {len(run.plan.phases)}")
        self.checkpoints.save(LAST, run.state())
        return self._finish()

    def _begin(self) -> None:
        run = self.run
        self.checkpoints.clear()
        preflight.check(run.network, run.plan, run.task, {"train": self.source.train}, terms=run.terms)
        run.history.preflight_s = run.seconds
        if run.ranks.is_first:
            self.drift.save_start()

    def _replay(self, state: dict[str, Any]) -> None:
        """Build again what stood in the network when ``state`` was written, then fill in its values."""
        _, phase, _ = state["position"]
        for index in range(phase + state["entered"]):
            self.run.phase = index
            self.run.enter(self._course().steps)
        self.run.load(state)
        self.run.seconds_before = state["seconds"]

    def _course(self) -> Course:
        return Course.of(self.run.plan, self.run.phase, self.source.train)

    def _phase(self) -> None:
        """One phase, or what is left of it where the network stands in it already."""
        run, course, entered = self.run, self._course(), self.run.entered
        if not entered:
            run.stale = 0
            run.enter(course.steps)
        if run.present.solver == "closed_form":
            return self._solve(course)
        feed, valid = self.source.feeds()
        start = self._started(course, is_cached=feed.is_cached)
        if not entered:
            run.history.phases.append(start)
            self._keep_start()
        run.compiled = compiled(run, feed, course)
        self.observer.on_phase(start)
        Loop(run=run, course=course, feed=feed, valid=valid, checkpoints=self.checkpoints, observer=self.observer, stop=self.stop).execute()
        return self._settle()

    def _started(self, course: Course, *, is_cached: bool) -> PhaseStart:
        run = self.run
        return PhaseStart(
            index=run.phase,
            name=run.present.name,
            solver=run.present.solver,
            steps=course.steps,
            epochs=course.steps / course.steps_per_epoch,
            boundary=run.present.boundary,
            cached=is_cached,
            trainable_parameters=sum(one.parameter.numel() for one in run.chosen),
        )

    def _keep_start(self) -> None:
        """The start of a phase is a good state, and where patience watches it counts as the best until an epoch is better."""
        run = self.run
        self.checkpoints.save(GOOD, run.state())
        if run.settings.patience and run.best is not None:
            self.checkpoints.save(BEST, {"tensors": run.averaged_tensors()})
        if self._blends():
            self.checkpoints.save(ENTRY, {"tensors": run.averaged_tensors()})

    def _blends(self) -> bool:
        """Does this phase end between where it began and where it was trained to?"""
        run = self.run
        return run.settings.wise_ft < 1 and run.phase == run.plan.last_by_gradient

    def _solve(self, course: Course) -> None:
        run, headline = self.run, self.run.task.headline
        cache, valid = self.source.cache if run.settings.cache else None, self.source.pooled_valid()
        start = self._started(course, is_cached=cache is not None)
        run.history.phases.append(start)
        self.observer.on_phase(start)
        self.source.before_solving()
        closed_form.solve(run, self.source.train, cache)
        values = validate(run, *valid).values if valid else {}
        if values:
            if is_better(values[headline], run.best, headline):
                run.history.best = {"phase": run.phase, "epoch": 1, "value": values[headline]}
            run.best = values[headline]
        record = EpochRecord(phase=run.phase, epoch=1, step=0, loss=None, valid=values, seconds=run.seconds)
        run.history.epochs.append(record)
        self.observer.on_epoch(record)

    def _settle(self) -> None:
        """The weights that the phase is left with: those of its best epoch where patience watched, else the averages, else the last."""
        run = self.run
        if run.settings.patience and run.best is not None:
            run.ranks.wait()
            run.load_tensors(self.checkpoints.load(BEST)["tensors"])
        elif run.ema is not None:
            run.ema.swap()
        run.ema = run.compiled = None
        if self._blends():
            run.ranks.wait()
            run.blend(self.checkpoints.load(ENTRY)["tensors"], run.settings.wise_ft)
            run.history.answers = None

    def _finish(self) -> History:
        history, run = self.run.history, self.run
        history.headline, history.train_s = run.task.headline, run.seconds - history.preflight_s
        history.precision, history.device = run.precision.format, str(run.device)
        history.drift = self.drift.measure()
        history.edits = [record.json() for record in run.standing.records.values()]
        run.network.eval()
        return history
