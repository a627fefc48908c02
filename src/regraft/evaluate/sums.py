"""A classifier out of sums: ridge regression on lifted features, or class means. Adding, removing and order are exact.

    examples --lift--> z (n, m)     gram += zᵀz     cross += zᵀ onehot(y)     counts += onehot(y)
    solve    (gram + strength) weights = cross

Everything that is decided is decided from these sums, so two ways to the same set of examples end in the same classifier. Every fifth example,
by the hash of its content, is summed apart: the strength is the one at which the other four fifths predict that fifth best, which
needs no example either: squared error = counts - 2 tr(wᵀ cross) + tr(wᵀ gram w). All sums are float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RequestError
from regraft.evaluate import triangle

Doubles = NDArray[np.float64]
Lift = Callable[[NDArray[np.float32]], Doubles]
"""Pooled features (n, width) -> (n, m) float64."""

CHUNK = 1024
HELD_OUT = 5
"""One example in so many is summed apart."""
STRENGTHS = tuple(10.0 ** (half / 2) for half in range(-4, 9))
"""Ridges tried, from 0.01 to 10,000, for features of unit length lifted by a normal projection."""
USUAL = STRENGTHS.index(100.0)
"""Where the search begins: what hundreds and thousands of texts of clinc150 take."""
LEADING = 1000
"""The strength is chosen on so many of the random features, themselves a smaller head of the same kind."""
UNSURE = 10.0
"""Strength, and sharpness of the logits, where nothing could be held out."""
MEAN_SHARPNESS = 20.0
"""Of class means: cosines times this are logits."""


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Sums over some examples: ``gram`` (m, m), its ``triangle`` (``None`` for class means); ``cross`` (m, k); ``counts`` (k,)."""

    gram: Doubles | None
    cross: Doubles
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, columns: int, num_classes: int, *, means: bool) -> Part:
        return cls(None if means else triangle.zeros(columns), np.zeros((columns, num_classes)), np.zeros(num_classes, np.int64))

    def summed(self, other: Part, sign: int) -> Part:
        gram = None if self.gram is None or other.gram is None else self.gram + other.gram if sign > 0 else self.gram - other.gram
        return Part(gram, self.cross + sign * other.cross, self.counts + sign * other.counts)

    def add(self, lifted: Doubles, targets: NDArray[np.integer]) -> Part:
        """These sums with the examples (n, m) and their targets (n,); the gram is changed in place."""
        if self.gram is not None:
            triangle.add_products(self.gram, lifted)
        onehot = np.zeros((len(targets), len(self.counts)))
        onehot[np.arange(len(targets)), targets] = 1.0
        return Part(self.gram, self.cross + lifted.T @ onehot, self.counts + onehot.sum(0).astype(np.int64))


@dataclass(frozen=True, eq=False, slots=True)
class Sums:
    """``held``: over every fifth example by content; ``rest``: over the others."""

    rest: Part
    held: Part

    @classmethod
    def of(cls, features: NDArray[np.float32], targets: NDArray[np.integer], keys: Sequence[int] | NDArray[np.uint64], *,
           lift: Lift, num_classes: int, means: bool = False) -> Sums:  # fmt: skip
        """Over ``features`` (n, width) of classes ``targets`` (n,) below ``num_classes``; ``keys`` (n,): a hash of each example's content."""
        columns = lift(np.zeros((1, features.shape[1]), np.float32)).shape[1]
        empty = cls(*(Part.empty(columns, num_classes, means=means) for _ in range(2)))
        return empty.taking(features, targets, keys, lift=lift)

    def taking(
        self, features: NDArray[np.float32], targets: NDArray[np.integer], keys: Sequence[int] | NDArray[np.uint64], *, lift: Lift
    ) -> Sums:
        """These sums with more examples, as in ``of``; the grams are changed in place, so that what was is no more."""
        held = np.asarray(keys, np.uint64) % np.uint64(HELD_OUT) == 0
        parts = []
        for part, rows in ((self.rest, np.flatnonzero(~held)), (self.held, np.flatnonzero(held))):
            for start in range(0, len(rows), CHUNK):
                chunk = rows[start : start + CHUNK]
                part = part.add(lift(features[chunk]), targets[chunk])
            parts.append(part)
        return Sums(*parts)

    def copied(self) -> Sums:
        """The same, to be added to in place."""
        return Sums(*(replace(part, gram=None if part.gram is None else part.gram.copy()) for part in (self.rest, self.held)))

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.rest.summed(other.rest, 1), self.held.summed(other.held, 1))

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.rest.summed(other.rest, -1), self.held.summed(other.held, -1))

    @property
    def counts(self) -> NDArray[np.int64]:
        """(k,) examples of each class."""
        return self.rest.counts + self.held.counts

    @property
    def is_means(self) -> bool:
        return self.rest.gram is None

    def with_classes(self, columns: Sequence[int | None]) -> Sums:
        """The same sums over other classes: for each new one the index of the old, or ``None`` for one without examples so far."""

        def over(part: Part) -> Part:
            chosen = [-1 if index is None else index for index in columns]
            cross = np.concatenate([part.cross, np.zeros((len(part.cross), 1))], axis=1)[:, chosen]
            return replace(part, cross=cross, counts=np.append(part.counts, 0)[chosen])

        return Sums(over(self.rest), over(self.held))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, by name."""
        found: dict[str, NDArray[Any]] = {}
        for name, part in (("rest", self.rest), ("held", self.held)):
            found |= {f"{name}.cross": np.ascontiguousarray(part.cross), f"{name}.counts": part.counts}
            if part.gram is not None:
                found[f"{name}.triangle"] = part.gram
        return found

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Sums:
        def part(name: str) -> Part:
            return Part(arrays.get(f"{name}.triangle"), arrays[f"{name}.cross"], arrays[f"{name}.counts"])

        return cls(part("rest"), part("held"))


@dataclass(frozen=True, eq=False, slots=True)
class Ridge:
    """``weights`` (k, m): what a linear layer over lifted features takes, scaled so that its outputs are logits. ``strength``: the ridge
    chosen; ``error``: root of the mean squared error over the fifth that was held out, ``None`` where nothing could be."""

    weights: Doubles
    strength: float
    error: float | None

    def __str__(self) -> str:
        held = "nothing could be held out" if self.error is None else f"squared error {self.error**2:.2g} on the fifth held out by content"
        return f"ridge strength {self.strength:.3g}: {held}"


def solve(sums: Sums) -> Ridge:
    """The classifier of ``sums``; raises ``RequestError`` where there is no example at all.

    Outputs regress the one-hot target, so their errors are in shares of a class; divided by the typical error they are logits.
    """
    if not sums.counts.sum():
        raise RequestError("a head made of statistics", "no example is summed in it", "keep at least one example of one class")
    if sums.is_means:
        return Ridge(_means(sums), 0.0, None)
    strength, error = choose(sums)
    assert sums.rest.gram is not None and sums.held.gram is not None
    weights = triangle.solve(sums.rest.gram + sums.held.gram, sums.rest.cross + sums.held.cross, ridge=strength)
    return Ridge(weights.T / error if error else weights.T * UNSURE, strength, error)


def choose(sums: Sums) -> tuple[float, float | None]:
    """(strength, root mean squared error) with the least error on what is held out, on the leading random features."""
    from scipy.linalg import cho_factor, cho_solve

    assert sums.rest.gram is not None and sums.held.gram is not None
    if not sums.held.counts.sum() or not sums.rest.counts.sum():
        return UNSURE, None
    size = min(LEADING, len(sums.rest.cross))
    rest, held = triangle.leading(sums.rest.gram, size), triangle.leading(sums.held.gram, size)
    total = float(sums.held.counts.sum())

    def error(strength: float) -> float:
        factor = cho_factor(rest + strength * np.eye(size), lower=True, overwrite_a=True, check_finite=False)
        weights = cho_solve(factor, sums.rest.cross[:size], check_finite=False)
        return total - 2 * float(np.vdot(weights, sums.held.cross[:size])) + float(np.vdot(weights, held @ weights))

    strength, least = _lowest(error)
    return strength, float(np.sqrt(max(least, 1e-12) / (total * len(sums.counts))))


def _lowest(error: Callable[[float], float]) -> tuple[float, float]:
    """Of ``STRENGTHS`` the one with the least error, and that: downhill from the usual one, as errors fall and then rise with the strength."""
    found = {place: error(STRENGTHS[place]) for place in (USUAL - 1, USUAL, USUAL + 1)}
    best = min(found, key=found.__getitem__)
    while nearby := [place for place in (best - 1, best + 1) if 0 <= place < len(STRENGTHS) and place not in found]:
        found |= {place: error(STRENGTHS[place]) for place in nearby}
        best = min(found, key=found.__getitem__)
    return STRENGTHS[best], found[best]


def _means(sums: Sums) -> Doubles:
    """(k, m) directions of the class means; a class without examples is never chosen first."""
    cross = (sums.rest.cross + sums.held.cross).T
    norms = np.linalg.norm(cross, axis=1, keepdims=True)
    return MEAN_SHARPNESS * cross / np.maximum(norms, 1e-12)
