"""Which kept examples are learned again beside new ones, and which watch instead.

    kept --one in ten, by content--> watch        --the others, class by class--> learned again

All are learned again where the trunk stays, and where of each known class about as many were kept as there are of new ones: few times each, so that no class
is learned from a few examples over and over. Else, as the trunk moves, no more old examples are learned again than there are new ones; of each class at least
as many as iCaRL had (2,000 of CIFAR-100's 100 classes; Rebuffi et al. 2016, 1611.07725). Where valid decides nothing, none has to watch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from regraft.tune.kept import LEAST, Kept

WATCHING = 10
"""Of the kept examples, one in so many watches instead of being learned again: as many as are set aside of new ones."""
UNEQUAL = 1.5
"""From so many new examples for each old one on, classes are too unequal for a loss that takes all examples alike."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Tables of what is learned again and of what watches."""

    learned: tuple[Kept, ...] = ()
    watching: tuple[Kept, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.learned))

    def is_unequal(self, new: Sequence[int]) -> bool:
        """Do ``new`` classes of so many examples each outweigh the old ones?"""
        return bool(self.counts and new) and float(np.mean(new)) > UNEQUAL * float(np.mean(list(self.counts.values())))


def rehearsal(tables: Sequence[Kept], *, new: int | None = None, watched: bool = True) -> Rehearsal:
    """Of everything in ``tables``, or where ``new`` examples say what the step may cost, no more than these. ``watched``: does one in ten watch?"""
    labels = [label for table in tables for label in table.labels]
    digests = np.array([digest for table in tables for digest in table.digests], dtype=object)
    watches = np.concatenate([np.empty(0, np.uint64), *(table.keys for table in tables)]) % np.uint64(WATCHING) == 0
    watches &= watched
    most = len(labels) if new is None else max(LEAST, new // max(len(set(labels)), 1))
    counts: Counter[str] = Counter()
    learned = np.zeros(len(labels), bool)
    for row in np.argsort(digests, kind="stable"):
        if not watches[row] and counts[labels[row]] < most:
            learned[row] = True
            counts[labels[row]] += 1
    return Rehearsal(_chosen(tables, learned), _chosen(tables, watches), counts)


def _chosen(tables: Sequence[Kept], rows: NDArray[np.bool_]) -> tuple[Kept, ...]:
    ends = np.cumsum([len(table) for table in tables])
    parts = [table.where(rows[end - len(table) : end]) for table, end in zip(tables, ends, strict=True)]
    return tuple(part for part in parts if len(part))
