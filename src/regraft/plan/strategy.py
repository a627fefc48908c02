"""A strategy: a short pure function that fills the grid. Composition is ``+``: each one goes over what the one before filled.

@strategy
def freeze(outline, phases, *, below): ...      # (Outline, phases so far, its settings) -> phases

freeze(below="blocks.3") + discriminative_lr(decay=0.8)
parse("freeze(below=blocks.3)+lora(rank=4)")
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from importlib.metadata import entry_points
from typing import Any, Concatenate, ParamSpec

from regraft.errors import PlanError, suggest
from regraft.plan.cell import TRAIN
from regraft.plan.grammar import Term, terms, typed
from regraft.plan.phase import Phase
from regraft.trunk.outline import Outline

Phases = tuple[Phase, ...]
Fill = Callable[[Outline, Phases], Phases]
P = ParamSpec("P")
REGISTRY: dict[str, Callable[..., Strategy]] = {}


@dataclass(frozen=True, slots=True)
class Strategy:
    """``text``: how a person types it; ``fill``: what it does to the grid."""

    text: str
    fill: Fill

    def __add__(self, other: Strategy) -> Strategy:
        return Strategy(f"{self.text}+{other.text}", lambda outline, phases: other.fill(outline, self.fill(outline, phases)))

    def __call__(self, outline: Outline) -> Phases:
        """The grid over ``outline``, from the blank one: a single phase in which everything trains."""
        blank = Phase(name="all", cells=(TRAIN,) * (len(outline.stages) + 1))
        return self.fill(outline, (blank,))

    def __str__(self) -> str:
        return self.text


def strategy(function: Callable[Concatenate[Outline, Phases, P], Phases]) -> Callable[P, Strategy]:
    """Turn ``function(outline, phases, *, settings)`` into a builder of strategies, registered under its name."""
    signature = inspect.signature(function)
    known = list(signature.parameters)[2:]

    @wraps(function)
    def build(*args: P.args, **kwargs: P.kwargs) -> Strategy:
        if len(args) > len(known):
            raise PlanError(f"{function.__name__} with {len(args)} settings", f"it has {len(known)}: {', '.join(known) or '(none)'}",
                            f"{function.__name__}({', '.join(f'{k}=...' for k in known)})")  # fmt: skip
        given: dict[str, Any] = {**dict(zip(known, args, strict=False)), **kwargs}
        for key in given:
            if key not in known:
                raise PlanError(f"{function.__name__}({key}=...)", f"{function.__name__} has no such setting", suggest(key, known))
        missing = [k for k in known if k not in given and signature.parameters[k].default is inspect.Parameter.empty]
        if missing:
            raise PlanError(f"{function.__name__}()", f"{missing[0]} is not given", f"{function.__name__}({missing[0]}=...)")
        text = typed(function.__name__, given)
        fill: Callable[..., Phases] = function
        return Strategy(text, lambda outline, phases: fill(outline, phases, **given))

    # a strategy is a file of its own, and the file says what it is
    build.__doc__ = function.__doc__ or sys.modules[function.__module__].__doc__
    if function.__name__ in REGISTRY:
        raise PlanError(f"register strategy {function.__name__!r}", "a strategy of that name is registered", "another name")
    REGISTRY[function.__name__] = build
    return build


def known_strategies() -> dict[str, Callable[..., Strategy]]:
    """Every strategy that can be typed: those of the package, then those of installed entry points ``regraft.strategies``."""
    import regraft.plan.strategies  # noqa: F401  fills the registry

    _load_installed()
    return REGISTRY


@cache
def _load_installed() -> None:
    """Once a process: looking through what is installed takes milliseconds."""
    for point in entry_points(group="regraft.strategies"):
        if point.name not in REGISTRY:
            REGISTRY[point.name] = point.load()


def parse(text: str) -> Strategy:
    """``lora(rank=4, where=query)+discriminative_lr(decay=0.8)`` as a person types it."""
    whole, *parts = [_built(term) for term in terms(text, what="strategy")]
    for part in parts:
        whole = whole + part
    return whole


def _built(term: Term) -> Strategy:
    name = term.name.replace("-", "_")
    registry = known_strategies()
    if name not in registry:
        raise PlanError(f"strategy {name!r}", "no strategy of that name", suggest(name, registry))
    return registry[name](*term.args, **term.kwargs)
