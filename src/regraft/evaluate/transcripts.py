"""How well what was said is written down: errors by word and by character (jiwer), per utterance, and their sums over any draw of utterances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RequestError
from regraft.evaluate.bootstrap import Array, Statistic
from regraft.evaluate.document import SCHEMA, nothing_of_classes
from regraft.evaluate.measure import measured, summed

EDITS = ("substitute", "delete", "insert")
SIZE = len(EDITS) + 1
Counts = NDArray[np.float64]
"""(n, 2 * SIZE): of each utterance the words substituted, deleted, inserted and said, then the same of characters."""


def counted(written: Sequence[str], said: Sequence[str]) -> Counts:
    """``said``: the truth. The fewest edits that make one of the other (Levenshtein 1966), of words and of characters."""
    jiwer = library()
    if not len(said):
        return np.zeros((0, 2 * SIZE))
    words = jiwer.process_words(list(said), list(written)).alignments
    characters = jiwer.process_characters(list(said), list(written)).alignments
    sizes = [(len(text.split()), len(text)) for text in said]
    rows = [[*_edits(w), size[0], *_edits(c), size[1]] for w, c, size in zip(words, characters, sizes, strict=True)]
    return np.array(rows, np.float64)


def statistics(counts: Counts) -> dict[str, Statistic]:
    """``wer`` and ``cer``: edits over what was said, of all utterances together."""
    return {"wer": summed(counts[:, :SIZE], _rate), "cer": summed(counts[:, SIZE:], _rate)}


def quality(counts: Counts) -> NDArray[np.float64]:
    """(n,) the characters of each utterance that were wrong, as a share of those said; negative, so that more is better."""
    return -_rate(counts[:, SIZE:])


def document(counts: Counts, *, seed: int = 0) -> dict[str, Any]:
    """The ``evaluate`` document. ``edits``: how often words and characters were substituted, deleted and inserted, of how many."""
    totals = counts.sum(axis=0).astype(int)
    names = (*(f"{edit}d" if edit.endswith("e") else f"{edit}ed" for edit in EDITS), "said")
    return {
        "schema": SCHEMA,
        "num_examples": len(counts),
        "metrics": {name: metric.json() for name, metric in measured(statistics(counts), len(counts), seed=seed).items()},
        **nothing_of_classes(),
        "edits": {
            unit: dict(zip(names, totals[start : start + SIZE].tolist(), strict=True))
            for unit, start in (("words", 0), ("characters", SIZE))
        },
    }


def library() -> Any:
    """The module ``jiwer``, of the extra ``audio``."""
    try:
        import jiwer
    except ImportError as error:
        raise RequestError("measure word errors", "jiwer is not installed", "pip install 'regraft[audio]'") from error
    return jiwer


def _edits(alignment: Sequence[Any]) -> list[int]:
    spans = [(chunk.type, max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)) for chunk in alignment]
    return [sum(size for kind, size in spans if kind == edit) for edit in EDITS]


def _rate(sums: Array) -> Array:
    found: Array = sums[:, : len(EDITS)].sum(axis=1) / np.maximum(sums[:, len(EDITS)], 1)
    return found
