"""The numbers of a model that finds entities in sentences, counted as seqeval and conlleval count them: right in type and in both ends, or wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RequestError
from regraft.evaluate.bootstrap import Array, Statistic
from regraft.evaluate.document import SCHEMA, nothing_of_classes
from regraft.evaluate.measure import measured, summed

Span = tuple[str, int, int]
Sentences = Sequence[Sequence[Span]]
HITS, CALLED, TRUE = range(3)


def statistics(called: Sentences, true: Sentences) -> dict[str, Statistic]:
    """``entity_f1``, ``entity_precision`` and ``entity_recall`` (micro averages) over the spans ``called`` and ``true`` of each sentence.

    A draw without any entity counts as 0.
    """
    if len(called) != len(true):
        raise RequestError(f"measure {len(true)} sentences", f"answers to {len(called)}", "one answer for each sentence")
    parts = np.array([[len(set(c) & set(t)), len(c), len(t)] for c, t in zip(called, true, strict=True)], np.float64).reshape(-1, 3)
    return {
        "entity_f1": summed(parts, lambda sums: _ratio(2 * sums[:, HITS], sums[:, CALLED] + sums[:, TRUE])),
        "entity_precision": summed(parts, lambda sums: _ratio(sums[:, HITS], sums[:, CALLED])),
        "entity_recall": summed(parts, lambda sums: _ratio(sums[:, HITS], sums[:, TRUE])),
    }


def document(called: Sentences, true: Sentences, extra: dict[str, Statistic], *, seed: int = 0) -> dict[str, Any]:
    """The ``evaluate`` document. ``extra``: statistics beside those of entities; ``per_class``: one object for each type of entity."""
    found = measured({**statistics(called, true), **extra}, len(true), seed=seed)
    return {
        "schema": SCHEMA,
        "num_examples": len(true),
        "metrics": {name: metric.json() for name, metric in found.items()},
        **nothing_of_classes(),
        "per_class": per_type(called, true),
    }


def per_type(called: Sentences, true: Sentences) -> list[dict[str, Any]]:
    """Precision, recall, F1 and support of each type, by name."""
    counts: list[Counter[str]] = [Counter(), Counter(), Counter()]
    for c, t in zip(called, true, strict=True):
        for counter, spans in zip(counts, (set(c) & set(t), c, t), strict=True):
            counter.update(kind for kind, _, _ in spans)
    hits, calls, support = counts
    return [
        {
            "class": kind,
            "precision": hits[kind] / calls[kind] if calls[kind] else None,
            "recall": hits[kind] / support[kind] if support[kind] else None,
            "f1": 2 * hits[kind] / (calls[kind] + support[kind]),
            "support": support[kind],
        }
        for kind in sorted(calls.keys() | support.keys())
    ]


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Array:
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
