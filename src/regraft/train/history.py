"""What happened during a run, as plain data: for the report, for the progress bar, and for the checkpoint. Free of torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseStart:
    """A phase begins. ``steps`` optimiser steps; ``boundary``: index of the first moving stage; ``cached``: is what lies below read from disk?"""

    index: int
    name: str
    solver: str
    steps: int
    epochs: float
    boundary: int
    cached: bool
    trainable_parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """An optimiser step is done. ``step``: how many of the phase are; ``epoch``: of the phase, fractional; ``loss``: mean per
    example over the steps read last; ``lr``: of a cell with scale 1; ``seconds``: since the run began, pauses left out."""

    phase: int
    step: int
    epoch: float
    loss: float
    lr: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """An epoch is done, or a head solved, which has no ``loss``. ``valid``: metric names to values on that split, empty where
    there is none."""

    phase: int
    epoch: int
    step: int
    loss: float | None
    valid: dict[str, float]
    seconds: float


class Observer(Protocol):
    """Whoever watches a run: a progress bar, a test. An error that it raises ends the run as a crash would."""

    def on_phase(self, phase: PhaseStart) -> None: ...

    def on_step(self, record: StepRecord) -> None: ...

    def on_epoch(self, record: EpochRecord) -> None: ...


class Silent:
    """The observer that does nothing."""

    def on_phase(self, phase: PhaseStart) -> None: ...

    def on_step(self, record: StepRecord) -> None: ...

    def on_epoch(self, record: EpochRecord) -> None: ...


@dataclass(kw_only=True)
class History:
    """``drift``: stage name -> ||theta - theta0|| / ||theta0|| over the parameters that stood there at the start.
    ``edits``: the records of the edits that stand in the network at the end, as JSON, in the order in which they were applied.
    ``tasks``: where several are learned at once, for each epoch what each of them counted and cost, in the mean.
    ``events``: sentences about what did not go as planned. ``best``: phase, epoch and value of the best epoch on valid.
    ``answers`` (n, ...): on valid, of the network as the run leaves it, where they are known; of this run alone, not of one that it resumes."""

    headline: str = ""
    phases: list[PhaseStart] = field(default_factory=list)
    steps: list[StepRecord] = field(default_factory=list)
    epochs: list[EpochRecord] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    best: dict[str, float] = field(default_factory=dict)
    drift: dict[str, float] = field(default_factory=dict)
    edits: list[dict[str, Any]] = field(default_factory=list)
    preflight_s: float = 0.0
    train_s: float = 0.0
    precision: str = "fp32"
    device: str = "cpu"
    answers: NDArray[Any] | None = field(default=None, compare=False)

    def json(self) -> dict[str, Any]:
        """All but the answers."""
        return asdict(replace(self, answers=None))

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> History:
        rows = {
            "phases": [PhaseStart(**row) for row in document["phases"]],
            "steps": [StepRecord(**row) for row in document["steps"]],
            "epochs": [EpochRecord(**row) for row in document["epochs"]],
        }
        return cls(**{**document, **rows})
