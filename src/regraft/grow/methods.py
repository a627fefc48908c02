"""How models are merged, as a person types it: ``greedy``, ``ties(density=0.2)``, ``wise_ft(alpha=0.5)``.

method            dial      searched on valid where it is not given     without valid
uniform           -         -                                           -
greedy            -         which models go in                          refused
wise_ft           alpha     0, 0.1 ... 1                                 0.5
task_arithmetic   scale     0.1, 0.2 ... 1                              1 / number of models
ties              scale     0.4, 0.6 ... 1.6                            1
dare              scale     0.1, 0.2 ... 1                              1 / number of models
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regraft.errors import RequestError, suggest
from regraft.plan.grammar import terms, typed

GREEDY, UNIFORM, WISE_FT = "greedy", "uniform", "wise_ft"
OPTIONS: dict[str, dict[str, float | None]] = {
    UNIFORM: {},
    GREEDY: {},
    WISE_FT: {"alpha": None},
    "task_arithmetic": {"scale": None},
    "ties": {"density": 0.2, "scale": None},
    "dare": {"drop": 0.9, "scale": None, "seed": 0},
}
"""Method -> its options; ``None``: searched for on valid."""
TENTHS = tuple(round(0.1 * step, 1) for step in range(1, 11))
GRIDS: dict[str, tuple[float, ...]] = {
    WISE_FT: (0.0, *TENTHS),
    "task_arithmetic": TENTHS,
    "ties": (0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6),
    "dare": TENTHS,
}
RANGES = {"alpha": (0.0, 1.0), "scale": (0.0, 10.0), "density": (1e-6, 1.0), "drop": (0.0, 0.999), "seed": (0, 2**31)}


@dataclass(frozen=True, slots=True)
class Method:
    """``options``: every option of the method; the dial is ``None`` where it is to be searched for."""

    name: str
    options: Mapping[str, Any]

    @property
    def dial(self) -> str | None:
        """The option that valid decides where a person did not."""
        return next((key for key in ("alpha", "scale") if key in self.options), None)

    @property
    def is_average(self) -> bool:
        """Are the weights of the answer a mean of the models' own?"""
        return self.name in (UNIFORM, GREEDY, WISE_FT)

    def default(self, num_models: int) -> float:
        """Where the dial stands without valid examples to search it on."""
        return {WISE_FT: 0.5, "ties": 1.0}.get(self.name, 1 / num_models)

    def at(self, value: float) -> Method:
        return Method(self.name, {**self.options, self.dial: value}) if self.dial else self

    @property
    def text(self) -> str:
        return typed(self.name, {key: value for key, value in self.options.items() if value is not None})


def parse(text: str) -> Method:
    """The method that ``text`` names. Raises ``RequestError`` for an unknown name or option, or a value out of range."""
    found = terms(text, what="method")
    term = found[0]
    if len(found) > 1 or term.args:
        raise RequestError(f"--method {text!r}", "one method, its options by name", "for example ties(density=0.2, scale=1.0)")
    if term.name not in OPTIONS:
        raise RequestError(f"--method {term.name!r}", "no such way to merge", suggest(term.name, OPTIONS))
    for key, value in term.kwargs.items():
        _check(term.name, key, value)
    return Method(term.name, {**OPTIONS[term.name], **term.kwargs})


def _check(name: str, key: str, value: Any) -> None:
    if key not in OPTIONS[name]:
        raise RequestError(f"{name}({key}=...)", f"{name} has no such option", suggest(key, OPTIONS[name]))
    low, high = RANGES[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RequestError(f"{name}({key}={value})", f"{key} is a number from {low:g} to {high:g}", f"{name}({key}=...)")
