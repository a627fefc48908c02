from __future__ import annotations

import numpy as np
import pytest

from regraft.errors import RequestError
from regraft.evaluate.compare import paired
from regraft.evaluate.stored import Stored, packed, verdict


def digests(*numbers: int) -> list[str]:
    return [f"{number:064x}"[::-1] for number in numbers]


def stored(calls: list[int], targets: list[int], classes=("a", "b"), of=None) -> Stored:
    scores = np.eye(len(classes), dtype=np.float32)[calls]
    found = Stored.of(packed(scores, digests(*(of or range(1, len(calls) + 1))), np.array(targets)), classes)
    assert found is not None
    return found


def test_stored_answers_give_the_verdict_of_running_both():
    rng = np.random.default_rng(0)
    targets, one, other = (rng.integers(0, 2, 200) for _ in range(3))
    found, left_out = verdict(stored(list(one), list(targets)), stored(list(other), list(targets)))
    assert left_out == 0
    assert found == paired(one == targets, other == targets)


def test_examples_are_matched_by_content_and_answers_by_class_name():
    one = stored([0, 1, 1], [0, 1, 0], of=[1, 2, 3])
    other = stored([2, 1], [2, 1], classes=("z", "b", "a"), of=[3, 2])
    found, left_out = verdict(one, other)
    assert (found.difference.n, found.wins, found.losses, left_out) == (2, 0, 1, 1)


def test_an_example_that_was_relabelled_is_left_out():
    found, left_out = verdict(stored([0, 0], [0, 0]), stored([0, 0], [0, 1]))
    assert (found.difference.n, left_out) == (1, 1)


def test_nothing_in_common_is_said_so():
    with pytest.raises(RequestError, match="tested on no example in common"):
        verdict(stored([0], [0], of=[1]), stored([0], [0], of=[2]))


def test_answers_without_targets_or_of_other_sizes_are_no_answers():
    assets = packed(np.zeros((3, 2), np.float32), digests(1, 2, 3), np.array([0, 1, 0]))
    assert Stored.of({key: value for key, value in assets.items() if key != "answers.targets"}, ("a", "b")) is None
    assert Stored.of(assets, ("a", "b", "c")) is None
    assert "answers.targets" not in packed(np.zeros((3, 2), np.float32), digests(1, 2, 3), np.array([0.5, 1.0, 0.0]))
