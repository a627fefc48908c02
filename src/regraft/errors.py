"""Every error that Regraft raises on purpose, and the exit code that the command line gives it.

    RegraftError                 1  the run failed
    +-- RequestError             2  the request was wrong: a path, a name, an option, a recipe
    |   +-- DataError            2  the data cannot be used as asked
    |   +-- TrunkError           2  the model cannot be read as stages, or a selection matched nothing
    |   +-- PlanError            2  the plan contradicts itself or the model
    |   +-- LineageError         2  a name or digest that the store does not hold
    +-- PreflightError           1  a check before training failed
    +-- TrainingDiverged         1  the loss stayed non-finite after every recovery
    +-- OutOfMemory              1  not even a single example fits
    +-- Interrupted              1  a person or the system asked the run to stop; it was saved and can be resumed
    +-- DamagedError             1  stored bytes do not match their digest
    +-- StorageError             1  disk full, store not writable
    +-- GateRefused              3  a gate said no (retention, merge)

Each one says what was asked, what was found, and what to type instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RegraftError(Exception):
    """A failure that a person can act on.

    ``asked``: what was requested; ``found``: what is there; ``advice``: what to type or do instead.
    """

    exit_code = 1

    def __init__(self, asked: str, found: str, advice: str) -> None:
        super().__init__(f"asked: {asked}\nfound: {found}\ntry:   {advice}")
        self.asked, self.found, self.advice = asked, found, advice

    def __reduce__(self):  # the three parts survive pickling, so that a worker's error arrives whole
        return type(self), (self.asked, self.found, self.advice)


class RequestError(RegraftError, ValueError):
    exit_code = 2


class DataError(RequestError): ...


class TrunkError(RequestError): ...


class PlanError(RequestError): ...


class LineageError(RequestError, LookupError): ...


class PreflightError(RegraftError): ...


class TrainingDiverged(RegraftError, ArithmeticError): ...


class OutOfMemory(RegraftError, MemoryError): ...


class Interrupted(RegraftError): ...


class DamagedError(RegraftError): ...


class StorageError(RegraftError, OSError): ...


class GateRefused(RegraftError):
    exit_code = 3


def suggest(name: str, known: Iterable[str]) -> str:
    """The advice line for a name that is not among ``known``: the nearest spelling first, else all that is known."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? known: {', '.join(names)}" if near else f"one of: {', '.join(names) or '(none)'}"
