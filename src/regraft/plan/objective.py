"""An objective: what is minimised beside the task's loss, or in its place; it stands beside the grid. A name and options, no torch.

    parse("distill(teacher=tickets, temperature=2)+l2_sp(strength=0.01)")

What a name does is known in the room ``train`` alone (``train.objective``), which also says whether name and options are right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regraft.errors import PlanError
from regraft.plan.grammar import Term, terms, typed

Option = str | int | float | bool | None | tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Objective:
    """``name``: a registered one, or ``module:package.function`` for a loss of one's own. ``options``: (key, value) in the order given."""

    name: str
    options: tuple[tuple[str, Option], ...] = ()

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any]) -> Objective:
        return cls(name, tuple((key, _frozen(value)) for key, value in options.items()))

    def __str__(self) -> str:
        return typed(self.name, dict(self.options))

    def with_options(self, **options: Option) -> Objective:
        """The same with these options over its own."""
        return Objective.of(self.name, {**dict(self.options), **options})


Objectives = tuple[Objective, ...]


def parse(text: str | Sequence[str]) -> Objectives:
    """Objectives as a person types them; a list of such texts counts as one text joined by ``+``; an empty text means none."""
    whole = text if isinstance(text, str) else "+".join(text)
    return tuple(_built(term) for term in terms(whole, what="objective")) if whole.strip() else ()


def text_of(objectives: Objectives) -> str:
    """As ``parse`` reads it."""
    return "+".join(map(str, objectives))


def _built(term: Term) -> Objective:
    if term.args:
        raise PlanError(f"{term.name}({term.args[0]!r})", "an objective's options are given by name", f"{term.name}(name={term.args[0]!r})")
    name = term.name if ":" in term.name else term.name.replace("-", "_")
    if not name:
        raise PlanError("an objective without a name", "there is nothing before or after a '+'", "distill(teacher=NAME)+l2_sp")
    return Objective.of(name, term.kwargs)


def _frozen(value: Any) -> Option:
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value
