"""What a person should know about a result before trusting it, read from its own documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from regraft.plan.plan import Plan


def doubts(documents: Iterable[dict[str, Any]], plan: Plan) -> list[str]:
    """Sentences for the warnings. ``documents``: those of ``evaluate``, the one that counts last.

    A run whose steps were too long ends by naming the largest class for everything: its loss is finite, so nothing has stopped it.
    """
    last = list(documents)[-1:]
    return [said for document in last if (said := _one_answer(document.get("confusion", {}), plan))]


def _one_answer(confusion: dict[str, Any], plan: Plan) -> str:
    matrix = np.asarray(confusion.get("matrix", ()))
    if matrix.ndim != 2 or np.count_nonzero(matrix.sum(1)) < 2 or np.count_nonzero(matrix.sum(0)) != 1:
        return ""
    name = confusion["classes"][int(matrix.sum(0).argmax())]
    advice = "--strategy linear_probe"
    if any(phase.solver == "gradient" for phase in plan.phases):
        advice = f"--lr {plan.settings.lr / 10:.1g}, or {advice}"
    return f"every example is answered {name!r}: nothing that tells the classes apart was learned, or it was lost in training. Try {advice}"
