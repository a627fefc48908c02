"""Which side an example falls on: given splits are kept, missing ones are carved out of the rest by a hash of the content.

The hash is of the normalised content of the first member of an example's group of near duplicates: copies stay together, and examples added later leave
all earlier ones where they were.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from regraft.data.duplicates import Groups
from regraft.errors import DataError
from regraft.spec import SPLITS

TRAIN, VALID, TEST = range(3)
UNDECIDED = -1
FEW_EXAMPLES = 5


def check_fractions(valid_fraction: float, test_fraction: float) -> None:
    if not (0 <= valid_fraction < 1 and 0 <= test_fraction < 1 and valid_fraction + test_fraction < 1):
        raise DataError(
            f"valid_fraction {valid_fraction}, test_fraction {test_fraction}",
            "fractions lie in 0..1 and leave something to train on",
            "for example valid_fraction 0.1, test_fraction 0.2",
        )


def training_rows(sides: np.ndarray, reference: str) -> np.ndarray:
    """(n,) bool: the examples to learn from; all of them where nothing is decided yet. Raises ``DataError`` where there are none."""
    undecided = bool(np.all(sides == UNDECIDED))
    rows: np.ndarray = sides == (UNDECIDED if undecided else TRAIN)
    if not rows.any():
        given = ", ".join(SPLITS[side] for side in np.unique(sides))
        advice = "name a split train, or give the file by itself to have it divided"
        raise DataError(f"read {reference}", f"no training example, only {given}", advice)
    return rows


def missing(given: np.ndarray, fractions: Mapping[int, float]) -> dict[int, float]:
    """Splits that nobody gave and that should be there, with their fractions."""
    return {side: fraction for side, fraction in fractions.items() if fraction > 0 and not np.any(given == side)}


def carve(groups: Groups, targets: np.ndarray, fractions: Mapping[int, float]) -> np.ndarray:
    """(n,) side of each of the examples that are to be divided; ``targets``: (n,) class indices; ``fractions``: share of each side but train.

    Every class keeps an example in train: where the hash left it none, the group that was nearest to staying is put back.
    """
    share = groups.key[groups.first] / 2.0**64
    sides = np.full(len(share), TRAIN, np.int8)
    upper = 0.0
    for side in sorted(fractions, reverse=True):  # test first: its members do not depend on the size of valid
        sides[(share >= upper) & (share < upper + fractions[side])] = side
        upper += fractions[side]
    without = np.setdiff1d(targets, targets[sides == TRAIN])
    for target in without:
        members = np.flatnonzero(targets == target)
        nearest = groups.first[members[np.argmax(share[members])]]
        sides[groups.first == nearest] = TRAIN
    return sides


def remarks(sides: np.ndarray, targets: np.ndarray, classes: list[str], carved: Mapping[int, float]) -> list[str]:
    """Sentences on what a carved split is too small to hold."""
    said = []
    for side in sorted(carved):
        count = int(np.sum(sides == side))
        advice = "give a split of your own or more data"
        if not count:
            said.append(f"No example falls into the {SPLITS[side]} split: nothing is measured on it; {advice}.")
        elif count < FEW_EXAMPLES:
            said.append(f"The {SPLITS[side]} split has only {count} example{'s' * (count > 1)}: its figures mean little; {advice}.")
        absent = [classes[index] for index in np.setdiff1d(np.arange(len(classes)), targets[sides == side])]
        if absent and count:
            some = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
            said.append(f"{len(absent)} of {len(classes)} classes have no example in the {SPLITS[side]} split: {some}.")
    return said
