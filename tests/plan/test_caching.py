"""Which phases one pass serves, and what is left to compute in each."""

from __future__ import annotations

import pytest
from outlines import outline, plan

from regraft.plan.caching import computed_from, is_kept, shared
from regraft.plan.cost import Facts, forecast

OVER = outline(5)
FACTS = Facts(num_train=100, num_classes=3, gflops=1.0)
HEAD = 2.0 * 16 * 3
STEM, BLOCK = 2_000.0, 20_000.0


def operations(text: str, **settings) -> list[float]:
    return [phase["operations"] for phase in forecast(plan(text, OVER, **settings), OVER, FACTS)["phases"]]


def test_gradual_unfreezing_pays_for_the_frozen_part_once():
    made = plan("gradual_unfreezing", OVER, epochs=6)
    last = len(made.phases) - 1
    assert shared(made, 0) == tuple(range(last)), "the last phase trains the door: nothing is below it"
    assert [computed_from(made, at) for at in range(1, last)] == [phase.boundary for phase in made.phases[1:last]]
    first, *others = operations("gradual_unfreezing", epochs=6)
    epochs = 6 / len(made.phases)
    assert first == pytest.approx(100 * (STEM + 4 * BLOCK + epochs * 3 * HEAD))
    assert others[0] == pytest.approx(100 * epochs * 3 * (BLOCK + HEAD))
    assert others[-2] == pytest.approx(100 * epochs * 3 * (4 * BLOCK + HEAD))


def test_a_probe_and_the_tuning_of_the_top_share_a_pass():
    made = plan("top(n=2)+lp_ft", OVER, epochs=1)
    assert shared(made, 0) == (0, 1) and is_kept(made, 1), "one epoch, and the features that the head is solved on"
    assert operations("top(n=2)+lp_ft", epochs=1)[1] == pytest.approx(100 * 3 * (2 * BLOCK + HEAD))
    assert not is_kept(plan("top(n=2)", OVER, epochs=1), 0)


def test_views_of_other_examples_are_no_help():
    random = {"augment": {"flip": True}, "cache_views": 2, "epochs": 4}
    made = plan("top(n=2)+lp_ft", OVER, **random)
    assert shared(made, 0) == (0,) and computed_from(made, 1) == 0
    assert operations("top(n=2)+lp_ft", **random)[1] == pytest.approx(100 * (2 * (STEM + 2 * BLOCK) + 4 * 3 * (2 * BLOCK + HEAD)))
