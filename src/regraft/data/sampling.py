"""How often the examples of one task are drawn beside those of another, where they are not the same examples.

Examples that teach the same tasks are one group, with a shuffled stream of its own; an epoch has as many rows as ever, and takes of a group of n in proportion to n^p: p = 1 as
many as there are (proportional), 1/T at a temperature of T, 0 the same of each (equal). (Arivazhagan et al. 2019, 1907.05019.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Drawn:
    """``groups``: the rows of each group; ``quotas``: how many rows an epoch takes of each."""

    groups: tuple[Rows, ...]
    quotas: tuple[int, ...]
    seed: int
    _held: dict[int, tuple[Rows, NDArray[Any] | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, targets: NDArray[Any], sampling: float, seed: int) -> Drawn | None:
        """``sampling``: the power p. ``None`` where every row is drawn once in an epoch: at 1, or where all examples teach the same."""
        if sampling == 1 or targets.ndim != 2 or not np.isnan(targets).any():
            return None
        _, member = np.unique(np.isnan(targets), axis=0, return_inverse=True)
        groups = tuple(np.flatnonzero(member.ravel() == group) for group in range(int(member.max()) + 1))
        return cls(groups, quotas([len(group) ** sampling for group in groups], len(targets)), seed)

    def epoch(self, epoch: int, lengths: NDArray[Any] | None = None) -> tuple[Rows, NDArray[Any] | None]:
        """The rows of an epoch, group by group, and their ``lengths`` (of all rows); over the epochs every row of a group comes as often as any other of
        it, give or take one. The same arrays for the same epoch, one epoch at a time."""
        if epoch not in self._held:
            self._held.clear()
            rows = np.concatenate([self._piece(place, epoch * quota, quota) for place, quota in enumerate(self.quotas)])
            self._held[epoch] = rows, None if lengths is None else lengths[rows]
        return self._held[epoch]

    def _piece(self, place: int, start: int, count: int) -> Rows:
        """``count`` rows from place ``start`` on of the endless stream of one group: shuffled, and shuffled anew each time it is through."""
        own = self.groups[place]
        rounds = range(start // len(own), -(-(start + count) // len(own)))
        stream = [np.random.default_rng([self.seed % 2**63, place, one]).permutation(own) for one in rounds]
        first = start - rounds.start * len(own)
        return np.concatenate([*stream, np.empty(0, np.intp)])[first : first + count].astype(np.intp)


def quotas(shares: list[float], total: int) -> tuple[int, ...]:
    """Whole numbers in proportion to ``shares`` that add up to ``total`` (largest remainders)."""
    exact = np.array(shares) / sum(shares) * total
    found = np.floor(exact).astype(int)
    for place in np.argsort(found - exact, kind="stable")[: total - int(found.sum())]:
        found[place] += 1
    return tuple(found.tolist())
