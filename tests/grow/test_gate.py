"""The gate: what is refused, and what is recorded where a loss is accepted."""

from __future__ import annotations

import pytest

from regraft.grow.gate import Answers, Gate, Refused, judge


def answers(right: dict[str, tuple[int, int]], n: int = 40) -> tuple[list[str], list[str], list[str]]:
    """Of ``n`` examples of each class the first so many right, before and after."""
    before, after, targets = [], [], []
    for name, (was, now) in right.items():
        targets += [name] * n
        before += [name] * was + ["?"] * (n - was)
        after += [name] * now + ["?"] * (n - now)
    return before, after, targets


def test_the_gate_refuses_what_was_lost_and_what_nobody_can_measure():
    before, after, targets = answers({"a": (40, 10), "b": (40, 40)})
    one = Answers("tickets", before, after, targets)
    with pytest.raises(Refused, match=r"a of tickets: 1\.000 -> 0\.250") as refused:
        judge("grow tickets", [one], Gate())
    assert refused.value.exit_code == 3 and refused.value.judgement.gate["passed"] is False
    with pytest.raises(Refused, match="cannot be measured: tickets kept no probe"):
        judge("grow tickets", [], Gate(), unmeasured=["tickets kept no probe"])


def test_an_accepted_loss_is_recorded_with_its_reason():
    before, after, targets = answers({"a": (40, 10)})
    judgement = judge("grow tickets", [Answers("tickets", before, after, targets)], Gate(accepted="a is no more"))
    assert judgement.gate["accepted"] == "a is no more" and not judgement.gate["passed"] and judgement.gate["lost"]
