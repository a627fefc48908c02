"""Answers as a generation stores them, so that two generations can be compared example by example without running either. No torch.

answers.logits     float16 (n, k), row by row
answers.examples   the first 8 bytes of each example's digest
answers.targets    int32 (n,), indices into the generation's classes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RequestError
from regraft.evaluate.compare import Verdict, paired

LOGITS, EXAMPLES, TARGETS = "answers.logits", "answers.examples", "answers.targets"
KEY_BYTES = 8


def packed(scores: NDArray[Any], digests: Sequence[str], targets: NDArray[Any]) -> dict[str, bytes]:
    """The assets that hold these test answers; without targets where they are not one class for each example."""
    keys = b"".join(bytes.fromhex(digest[: 2 * KEY_BYTES]) for digest in digests)
    found = {LOGITS: scores.astype("<f2").tobytes(), EXAMPLES: keys}
    numbers = np.asarray(targets)
    if numbers.ndim == 1 and np.issubdtype(numbers.dtype, np.integer):
        found[TARGETS] = numbers.astype("<i4").tobytes()
    return found


@dataclass(frozen=True, eq=False, slots=True)
class Stored:
    """Example -> (what it was called, what it is), both as class names."""

    answers: Mapping[bytes, tuple[str, str]]

    @classmethod
    def of(cls, assets: Mapping[str, bytes], classes: Sequence[str]) -> Stored | None:
        """``None`` where the generation stores no answers that are right or wrong."""
        if not {LOGITS, EXAMPLES, TARGETS} <= assets.keys() or not classes:
            return None
        targets = np.frombuffer(assets[TARGETS], "<i4")
        logits = np.frombuffer(assets[LOGITS], "<f2")
        if not len(targets) or len(logits) != len(targets) * len(classes):
            return None
        called = logits.reshape(len(targets), len(classes)).argmax(axis=1)
        keys = [assets[EXAMPLES][i : i + KEY_BYTES] for i in range(0, len(assets[EXAMPLES]), KEY_BYTES)]
        rows = zip(keys, called, targets, strict=True)
        return cls({key: (classes[int(answer)], classes[int(target)]) for key, answer, target in rows})


def verdict(one: Stored, other: Stored) -> tuple[Verdict, int]:
    """The first against the second on the test examples that both answered and whose labels agree; and how many were left out."""
    shared = [key for key, (_, target) in one.answers.items() if key in other.answers and other.answers[key][1] == target]
    if not shared:
        raise RequestError("compare stored answers", "the two were tested on no example in common", "regraft evaluate A DATA --against B")
    right = [np.array([call == target for call, target in (each.answers[key] for key in shared)]) for each in (one, other)]
    return paired(right[0], right[1]), max(len(one.answers), len(other.answers)) - len(shared)
