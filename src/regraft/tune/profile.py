"""A trace of some steps of a run, in the format of Chrome's tracing, which https://ui.perfetto.dev opens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity

from regraft.train.history import EpochRecord, Observer, PhaseStart, Silent, StepRecord

STEPS, WARM = 20, 3
FILE = "trace.json.gz"
NO_STEP = (
    "--profile left no trace: no step was taken (a head that is solved in closed form has none, nor has a run that was finished already)"
)


class Profiled:
    """An observer that hands on what it sees, and records ``steps`` steps of the first phase that is trained step by step, after ``WARM`` for
    warming up. ``written``: where the trace lies; ``None`` as long as there is none, and for good where no step is taken."""

    def __init__(self, observer: Observer | None, folder: Path, *, steps: int = STEPS) -> None:
        self.observer, self.steps = observer or Silent(), steps
        self.path = folder / FILE
        self.written: Path | None = None
        self._profile: Any = None
        self._warm, self._seen = 0, 0
        self.path.unlink(missing_ok=True)  # of an earlier run of this name

    def on_phase(self, phase: PhaseStart) -> None:
        self.observer.on_phase(phase)
        if phase.solver == "gradient" and self._profile is None and self.written is None:
            self._seen, self._warm = 0, min(WARM, max(0, phase.steps - 1))
            if not self._warm:
                self._begin()

    def on_step(self, record: StepRecord) -> None:
        self._seen += 1
        if self._profile is not None and self._seen >= self._warm + self.steps:
            self.finish()
        elif self._profile is None and self.written is None and self._seen >= self._warm:
            self._begin()
        self.observer.on_step(record)

    def on_epoch(self, record: EpochRecord) -> None:
        self.observer.on_epoch(record)

    def finish(self) -> None:
        """Write what was recorded, if anything was: after the last step to be recorded, or at the end of a run that had fewer."""
        if self._profile is None:
            return
        self._profile.stop()
        self._profile.export_chrome_trace(str(self.path))
        self._profile, self.written = None, self.path

    def _begin(self) -> None:
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._profile = torch.profiler.profile(activities=activities)
        self._profile.start()


def told(document: Mapping[str, Any], written: Path | None) -> dict[str, Any]:
    """The ``tune`` document with where the trace lies, or with a warning that there is none and why."""
    return {**document, "profile": str(written)} if written else {**document, "warnings": [*document["warnings"], NO_STEP]}
