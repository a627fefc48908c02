"""What reading a form of targets takes, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from regraft.data import arrow
from regraft.data.dataset import Rejected
from regraft.data.examples import Examples
from regraft.data.unknown import TRAIN
from regraft.spec import SPLITS

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the training examples say about the targets. ``classes``: names of the outputs, in order; ``facts``: what else there is to know (JSON);
    ``said``: sentences about what was found; ``owner``: train, or the model that learnt them earlier (``data.unknown``)."""

    classes: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    owner: str = TRAIN


@dataclass(frozen=True, slots=True)
class Read:
    """``column``: a target for each example, null where it cannot be used; ``rejected``: those, with the reason. ``strata`` (n,): the class of
    which train has to keep an example where splits are carved, -1 for unusable examples; all 0 where there is no such thing."""

    column: pa.Array
    strata: np.ndarray
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """``learn(found, sides, reference) -> Learnt`` raises ``DataError`` where the labels are not of this form.
    ``read(found, sides, learnt, reference, allow_unknown) -> Read``. ``may_be_blank``: an empty label says something (no label applies)."""

    learn: Callable[[Examples, np.ndarray, str], Learnt]
    read: Callable[..., Read]
    may_be_blank: bool = False


def taken(found: Examples, sides: np.ndarray, values: Sequence[Any], *, faults: Sequence[str], kind: pa.DataType) -> Read:
    """The column that gives each example the value of its label; ``values`` and ``faults`` (empty: none) for each of ``found.labels``."""
    codes = arrow.numbers(found.table.column("target"))
    of_label = arrow.array([None if fault else value for value, fault in zip(values, faults, strict=True)], kind)
    column = of_label.take(arrow.array(codes))
    wrong = np.array([bool(fault) for fault in faults], bool)[codes]
    places = found.table.column("where").take(arrow.array(np.flatnonzero(wrong))).to_pylist()
    rejected = [
        Rejected(place, faults[codes[row]], SPLITS[sides[row]] if sides[row] >= 0 else "")
        for place, row in zip(places, np.flatnonzero(wrong), strict=True)
    ]
    return Read(column, np.where(wrong, -1, 0), rejected)


def some(items: Sequence[str]) -> str:
    """The first of ``items`` in quotes, and how many more there are."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(repr(item) for item in items[:SHOWN]) + more
