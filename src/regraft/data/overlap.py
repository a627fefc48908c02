"""What occurs more than once: inside a split, across splits, and with contradictory labels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from regraft.data import arrays
from regraft.data.dataset import Dataset
from regraft.data.duplicates import Groups

SHOWN = 3
LEAK_ERROR_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Overlap:
    """All examples of all splits in a row: ``split`` (n,) index of the split's name in ``names``, ``target`` (n,), ``exact`` (n,) equal for equal content,
    ``near`` (n,) equal for near duplicates (which includes equal ones)."""

    dataset: Dataset
    names: tuple[str, ...]
    split: np.ndarray
    target: np.ndarray
    exact: np.ndarray
    near: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, dataset: Dataset, groups: Groups) -> Overlap:
        parts = list(dataset.splits.values())
        sizes = [len(part) for part in parts]
        exact = groups.key if dataset.kind in ("image", "audio") else np.concatenate([part.digests.keys for part in parts])
        return cls(
            dataset,
            tuple(dataset.splits),
            np.repeat(np.arange(len(parts)), sizes),
            arrays.codes([part.targets for part in parts]),
            exact,
            groups.first,
            np.cumsum([0, *sizes]),
        )

    def problems(self) -> list[dict[str, Any]]:
        found = [entry for index in range(len(self.names)) for entry in self._within(index)]
        found += [entry for pair in combinations(range(len(self.names)), 2) for entry in self._between(*pair)]
        return [*found, *self._contradictions()]

    def _within(self, index: int) -> list[dict[str, Any]]:
        rows = np.flatnonzero(self.split == index)
        equal, near = _repeats(self.exact[rows]), _repeats(self.near[rows])
        found = []
        if equal.any():
            found.append(
                self._entry("exact_duplicates", "note", rows[equal], "repeated content: it counts more than once; remove the copies")
            )
        if (near & ~equal).any():
            found.append(self._entry("near_duplicates", "note", rows[near & ~equal], "nearly equal to an earlier example of this split"))
        return found

    def _between(self, first: int, second: int) -> list[dict[str, Any]]:
        """Rows of the later split whose content, or nearly so, the earlier one holds."""
        rows, others = np.flatnonzero(self.split == second), self.split == first
        equal = np.isin(self.exact[rows], self.exact[others])
        near = np.isin(self.near[rows], self.near[others]) & ~equal
        pair = f"{self.names[first]} and {self.names[second]}"
        found = []
        for kind, leaked, what in (("leak", equal, "are also in"), ("near_leak", near, "are nearly equal to examples of")):
            if leaked.any():
                share = leaked.sum() / len(rows)
                advice = f"{share:.1%} of {self.names[second]} {what} {self.names[first]}: figures on {self.names[second]} are too good; remove them from one side"
                severity = "error" if kind == "leak" and share > LEAK_ERROR_SHARE else "warning"
                found.append({**self._entry(kind, severity, rows[leaked], advice), "splits": pair})
        return found

    def _contradictions(self) -> list[dict[str, Any]]:
        found = []
        for kind, severity, groups, advice in (
            ("contradictory_labels", "warning", self.exact, "the same content has different labels: decide for one"),
            ("near_contradictory_labels", "note", self.near, "nearly equal content has different labels: look at them"),
        ):
            rows = _differing(groups, self.target)
            if kind.startswith("near"):
                rows = np.setdiff1d(rows, _differing(self.exact, self.target))
            if len(rows):
                found.append(self._entry(kind, severity, rows, advice))
        return found

    def _entry(self, kind: str, severity: str, rows: np.ndarray, advice: str) -> dict[str, Any]:
        places = []
        for row in rows[:SHOWN].tolist():
            index = int(self.split[row])
            name = self.names[index]
            places.append(f"{name}: {self.dataset.splits[name].where(row - int(self.starts[index]))}")
        where = ", ".join(places) + (", ..." if len(rows) > SHOWN else "")
        return {"kind": kind, "severity": severity, "where": where, "count": len(rows), "advice": advice}


def _repeats(groups: np.ndarray) -> np.ndarray:
    """(n,) True for every row whose group already occurred earlier."""
    again = np.ones(len(groups), bool)
    again[np.unique(groups, return_index=True)[1]] = False
    return again


def _differing(groups: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Rows of groups that hold more than one target."""
    _, member = np.unique(groups, return_inverse=True)
    least, most = np.full(member.max() + 1, np.iinfo(np.int64).max), np.full(member.max() + 1, -1)
    np.minimum.at(least, member, targets)
    np.maximum.at(most, member, targets)
    return np.flatnonzero(least[member] != most[member])
