"""Which of the models that can be used here: the one whose features know the task best; a tie goes to the cheaper one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regraft.advise.probe import ProbeResult
from regraft.errors import RequestError
from regraft.evaluate.compare import paired


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """``macs``: multiply-adds of one forward pass of one example, the cost that decides a tie."""

    reference: str
    probe: ProbeResult
    macs: int


def choose(candidates: Sequence[Candidate], *, seed: int = 0) -> tuple[str, tuple[str, ...]]:
    """The reference chosen, and one sentence for each candidate. All were probed on the same examples with the same seed."""
    if not candidates:
        raise RequestError("choose a model", "no model here fits this kind of input", "regraft models lists them; name one with --model")
    best = max(candidates, key=lambda candidate: candidate.probe.cv_accuracy.value)
    verdicts = {id(other): paired(best.probe.cv_correct, other.probe.cv_correct, seed=seed) for other in candidates}
    tied = [other for other in candidates if verdicts[id(other)].verdict == "tie"]
    chosen = min(tied, key=lambda candidate: (candidate.macs, candidate.reference))
    return chosen.reference, tuple(_sentence(c, chosen, len(tied)) for c in sorted(candidates, key=lambda c: c is not chosen))


def _sentence(candidate: Candidate, chosen: Candidate, num_tied: int) -> str:
    measured = f"a linear probe on {candidate.reference} is right on {candidate.probe.cv_accuracy} of held-out examples"
    if candidate is not chosen:
        return f"not chosen: {measured}, at {candidate.macs / chosen.macs:.1f} times the cost of {chosen.reference}"
    tie = f"; the cheapest of {num_tied} that tie" if num_tied > 1 else ""
    return f"chosen: {measured}{tie}"
