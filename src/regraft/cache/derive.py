"""Filling the caches that a plan needs from the cheapest source.

What enters a higher stage follows from what entered a lower one: the stages between are run, those below are not. Nothing follows the
other way; so where boundaries walk down, as in gradual unfreezing, all of them are captured on the way of the first, highest one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from regraft.cache.boundary import Boundary, capture_many
from regraft.cache.entrance import Captured, run_to
from regraft.trunk.trunk import Inputs


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over the rows: from the entries at ``source`` (``None``: from the inputs) to those at every boundary of ``fills``."""

    source: int | None
    fills: tuple[int, ...]


def plan_passes(needed: Iterable[int], present: Iterable[int]) -> tuple[Pass, ...]:
    """The passes that fill the ``needed`` boundaries, given those ``present`` for the same prefix and data.

    Each missing boundary starts from the nearest present one below it; those that share a source share a pass.
    """
    there = sorted(set(present))
    by_source: dict[int | None, list[int]] = {}
    for boundary in sorted(set(needed) - set(there)):
        below = [index for index in there if index < boundary]
        by_source.setdefault(below[-1] if below else None, []).append(boundary)
    return tuple(Pass(source, tuple(fills)) for source, fills in by_source.items())


def lift(lower: Boundary, higher: Sequence[Boundary], entries: Mapping[str, Tensor], inputs: Inputs) -> dict[int, Captured]:
    """What enters each of ``higher``, from what entered ``lower``: index -> entries. The stages between run without gradient, in eval mode."""
    entrances = {boundary.index: boundary.entrance(inputs) for boundary in higher}
    return run_to(lower.network, entrances, inputs, run=lambda: lower.resume(entries, inputs, through=lower.network))


def capture_for(
    step: Pass, boundaries: Mapping[int, Boundary], entries: Mapping[str, Tensor] | None, inputs: Inputs
) -> dict[int, Captured]:
    """The work of one pass for one batch; ``entries`` are those of ``step.source``."""
    higher = [boundaries[index] for index in step.fills]
    if step.source is None or entries is None:
        return capture_many(higher, inputs)
    return lift(boundaries[step.source], higher, entries, inputs)
