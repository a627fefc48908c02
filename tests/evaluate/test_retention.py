"""What was lost: beyond the tolerance, beyond the noise, class by class."""

from __future__ import annotations

import pytest

from regraft.errors import RequestError
from regraft.evaluate.retention import lost, retention


def answers(right: dict[str, tuple[int, int]], n: int = 40) -> tuple[list[str], list[str], list[str]]:
    """Of ``n`` examples of each class the first so many right, before and after."""
    before, after, targets = [], [], []
    for name, (was, now) in right.items():
        targets += [name] * n
        before += [name] * was + ["?"] * (n - was)
        after += [name] * now + ["?"] * (n - now)
    return before, after, targets


def test_equal_answers_lose_nothing():
    found = retention(*answers({"a": (38, 38), "b": (30, 30)}))
    assert found["verdict"] == "tie" and found["difference"]["value"] == 0
    assert [row["class"] for row in found["per_class"]] == ["a", "b"]
    assert lost(found) == []


def test_a_loss_within_the_tolerance_or_the_noise_is_none():
    within = retention(*answers({"a": (40, 39), "b": (40, 39)}))
    assert lost(within, 0.03) == []
    noise = retention(*answers({"a": (3, 2)}, n=4))
    assert noise["difference"]["value"] == -0.25 and lost(noise, 0.03) == []


def test_a_loss_of_the_whole_is_named():
    found = lost(retention(*answers({name: (38, 30) for name in "abcd"})), 0.03)
    assert found[0]["class"] is None and found[0]["after"] == pytest.approx(0.75)
    assert "20.0% lost" in found[0]["why"]


def test_one_class_lost_among_many_is_found_though_the_whole_stays():
    right = {f"c{number}": (40, 40) for number in range(30)} | {"gone": (36, 10)}
    found = lost(retention(*answers(right)), 0.03)
    assert [row["class"] for row in found] == ["gone"] and "among 31 classes" in found[0]["why"]


def test_a_small_class_of_which_nothing_is_left_is_found():
    right = {"a": (3, 3), "b": (3, 0), "c": (3, 3)}
    assert [(row["class"], row["why"]) for row in lost(retention(*answers(right, n=3)), 0.5)] == [("b", "nothing is left of it")]


def test_nothing_to_measure_is_an_error():
    with pytest.raises(RequestError, match="0 and 0 answers to 0 examples"):
        retention([], [], [])
