"""What is left of the old skills: a parent and its child on the same examples, as a whole and class by class, and whether that is enough.

A loss counts where it is larger than the tolerance and larger than the noise. As a whole, the 95% interval of the paired difference must lie
below zero. A class must pass a stricter test, as there are many of them: Holm's correction (1979) over all classes of McNemar's exact test, or
a class that was known and of which nothing at all is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RequestError
from regraft.evaluate import bootstrap
from regraft.evaluate.compare import Verdict, paired

TOLERANCE = 0.03
"""Share of the answers to a probe that a child may lose."""
LEVEL = 0.05
KNOWN, FEW = 0.5, 3
"""A class counts as known where at least half of its examples, of at least three, were answered right."""


def retention(before: Sequence[str], after: Sequence[str], targets: Sequence[str]) -> dict[str, Any]:
    """Answers of the parent and of the child to n examples, all of them class names, with the ``targets``.

    ``before``, ``after``: accuracy with intervals; ``difference``, ``p_value`` and ``verdict`` of the child against the parent;
    ``per_class``: the same for each class that occurs, by name.
    """
    names = np.asarray(targets, dtype=object)
    if not len(names) or not len(before) == len(after) == len(names):
        raise RequestError(
            "measure what is retained", f"{len(before)} and {len(after)} answers to {len(names)} examples", "one answer of each to each"
        )
    was, now = np.asarray(before, object) == names, np.asarray(after, object) == names
    rows = [{"class": str(name), **_row(was[names == name], now[names == name])} for name in sorted(set(names))]
    return {"num_examples": len(names), **_row(was, now), "per_class": rows}


def lost(document: dict[str, Any], tolerance: float = TOLERANCE) -> list[dict[str, Any]]:
    """What of a probe was lost: rows with ``class`` (``None`` for the probe as a whole), ``before``, ``after`` and ``why``."""
    found = []
    whole = document["difference"]
    if whole["value"] < -tolerance and whole["high"] < 0:
        found.append(_loss(None, document, f"{-whole['value']:.1%} lost, 95% interval {-whole['high']:.1%} to {-whole['low']:.1%}"))
    ranked = sorted(document["per_class"], key=lambda row: row["p_value"])
    sure = True
    for place, row in enumerate(ranked):
        limit = LEVEL / (len(ranked) - place)
        sure = sure and row["p_value"] < limit
        gone = row["before"]["n"] >= FEW and row["before"]["value"] >= KNOWN and row["after"]["value"] == 0
        if row["difference"]["value"] < -tolerance and (sure or gone):
            why = "nothing is left of it" if gone else f"p = {row['p_value']:.2g} among {len(ranked)} classes"
            found.append(_loss(row["class"], row, why))
    return found


def _row(was: NDArray[np.bool_], now: NDArray[np.bool_]) -> dict[str, Any]:
    verdict: Verdict = paired(now, was)
    return {
        "before": bootstrap.accuracy(was).json(),
        "after": bootstrap.accuracy(now).json(),
        "difference": verdict.difference.json(),
        "p_value": verdict.p_value,
        "verdict": verdict.verdict,
    }


def _loss(name: str | None, row: dict[str, Any], why: str) -> dict[str, Any]:
    return {"class": name, "before": row["before"]["value"], "after": row["after"]["value"], "n": row["before"]["n"], "why": why}
