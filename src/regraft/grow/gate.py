"""The gate: parent and child on every probe, side by side, before anything is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from regraft.errors import GateRefused
from regraft.evaluate.retention import TOLERANCE, lost, retention

SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """``tolerance``: share of the answers to a probe that may be lost. ``accepted``: the reason for which a loss is accepted, if one is."""

    tolerance: float = TOLERANCE
    accepted: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """To one probe: who it is ``of``, and n answers of the parent and of the child, with the targets; class names all."""

    of: str
    before: Sequence[str]
    after: Sequence[str]
    targets: Sequence[str]


@dataclass(frozen=True, slots=True)
class Judgement:
    """``retention``: a document for each probe; ``gate``: what the gate said."""

    retention: list[dict[str, Any]] = field(default_factory=list)
    gate: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return {"retention": self.retention, "gate": self.gate}


class Refused(GateRefused):
    """``judgement``: what was measured, for whoever shows it."""

    def __init__(self, asked: str, found: str, advice: str, judgement: Judgement | None = None) -> None:
        super().__init__(asked, found, advice)
        self.judgement = judgement or Judgement()


def judge(asked: str, answers: Sequence[Answers], gate: Gate, *, unmeasured: Sequence[str] = ()) -> Judgement:
    """Measure every probe; raises ``Refused`` where more was lost than is tolerated and nobody accepts it.

    ``unmeasured``: skills that nothing is left to measure by; they count as lost, since nobody can say otherwise.
    """
    documents = [{"of": one.of, **retention(one.before, one.after, one.targets)} for one in answers if len(one.targets)]
    losses = [{"of": document["of"], **loss} for document in documents for loss in lost(document, gate.tolerance)]
    passed = not losses and not unmeasured
    said = {
        "tolerance": gate.tolerance,
        "passed": passed,
        "lost": losses,
        "unmeasured": list(unmeasured),
        "accepted": gate.accepted or None,
    }
    judgement = Judgement(documents, said)
    if not passed and not gate.accepted:
        raise Refused(asked, _found(losses, unmeasured), ADVICE, judgement)
    return judgement


ADVICE = 'another --way, more --set replay=..., or --accept-forgetting "why"; nothing was stored'


def _found(losses: Sequence[dict[str, Any]], unmeasured: Sequence[str]) -> str:
    told = [f"{'all classes' if loss['class'] is None else loss['class']} of {loss['of']}: {loss['before']:.3f} -> {loss['after']:.3f} ({loss['why']})"
            for loss in losses[:SHOWN]]  # fmt: skip
    if len(losses) > SHOWN:
        told.append(f"and {len(losses) - SHOWN} more")
    return "; ".join([*told, *(f"cannot be measured: {what}" for what in unmeasured)])
