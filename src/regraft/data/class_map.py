"""One class map for all splits: the names that train holds, in order; a label that train does not have is never given a number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from regraft.data import arrow, split
from regraft.data.dataset import Rejected
from regraft.data.examples import Examples
from regraft.data.names import folded, in_order
from regraft.data.unknown import reason, refusal
from regraft.errors import DataError, suggest
from regraft.spec import SPLITS

SHOWN = 5


def sides(found: Examples) -> np.ndarray:
    """(n,) int8: the side that was given for each example, or split.UNDECIDED for all of them. The array is the caller's to change."""
    return arrow.numbers(found.table.column("side"))


def learnt(found: Examples, sides: np.ndarray, reference: str) -> tuple[str, ...]:
    """Names of the classes that there are examples to learn from; raises :class:`DataError` for fewer than two."""
    rows = split.training_rows(sides, reference)
    codes = arrow.numbers(found.table.column("target"))[rows]
    classes = tuple(in_order(found.labels[code] for code in np.unique(codes)))
    if len(classes) < 2:
        advice = "classification needs at least two classes; --target names another column"
        raise DataError(f"read {reference}", f"one class only: {classes[0]!r}", advice)
    return classes


def grown(found: Examples, sides: np.ndarray, known: Sequence[str], reference: str) -> tuple[str, ...]:
    """``known``, in their order, then the names that only the training examples have. Raises :class:`DataError` for one that differs from a
    known one in case, spaces or hyphens alone: it would be learned as something else."""
    codes = arrow.numbers(found.table.column("target"))[split.training_rows(sides, reference)]
    names = [found.labels[code] for code in np.unique(codes)]
    fresh = in_order(name for name in names if name not in set(known))
    alike = {folded(name): name for name in known}
    twins = [f"{name!r} as {alike[folded(name)]!r}" for name in fresh if folded(name) in alike]
    if twins:
        raise DataError(f"read {reference}", f"{len(twins)} labels that differ from a known class only by case, spaces or hyphens",
                        f"write {', '.join(twins[:SHOWN])}")  # fmt: skip
    return (*known, *fresh)


def targets(
    found: Examples, sides: np.ndarray, classes: tuple[str, ...], reference: str, *, owner: str, allow_unknown: bool
) -> tuple[np.ndarray, list[Rejected]]:
    """(n,) int64 index into ``classes``, -1 for a label that is not among them; these are an error, or listed.
    ``owner``: who has the ``classes``, train or the model."""
    known = {name: index for index, name in enumerate(classes)}
    indices = np.array([known.get(label, -1) for label in found.labels], np.int64)[arrow.numbers(found.table.column("target"))]
    rows = np.flatnonzero(indices < 0)
    if not len(rows):
        return indices, []
    places = found.table.take(arrow.array(rows))
    labels = [found.labels[code] for code in places.column("target").to_pylist()]
    names = [SPLITS[side] for side in sides[rows]]
    if not allow_unknown:
        counts = Counter(zip(names, labels, strict=True))
        listed = "; ".join(f"{label!r} ({count} in {name})" for (name, label), count in counts.most_common(SHOWN))
        more = f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
        raise refusal(reference, owner, "labels", listed + more, whole="class map", advice=_advice(list(dict.fromkeys(labels)), classes))
    where = places.column("where").to_pylist()
    unknown = [Rejected(place, reason("label", label, owner), name) for place, label, name in zip(where, labels, names, strict=True)]
    return indices, unknown


def _advice(labels: Sequence[str], classes: tuple[str, ...]) -> str:
    """Unknown labels that differ from a class only in case or spaces, and those that are several classes in one cell, are named as such; "" where
    there is nothing better than the usual advice."""
    known = {folded(name): name for name in classes}
    twins = [f"{label!r} as {known[folded(label)]!r}" for label in labels if folded(label) in known]
    if twins:
        return f"write {', '.join(twins[:SHOWN])}: they differ only by case, spaces or hyphens"
    if all(len(parts) > 1 and set(parts) <= set(classes) for parts in (re.split(r"\s*[|,;]\s*", label) for label in labels)):
        return "several labels for one example are read by --task text-multilabel (or image-multilabel)"
    return f"{suggest(labels[0], classes)}; to go on without these rows: --allow-rejected" if len(classes) <= 20 else ""
