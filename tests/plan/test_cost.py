"""The forecast follows the counting rule: forward 1, backward 2, a cached prefix once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from outlines import WORDS, outline, plan

from regraft.plan.cost import STEP_S, Facts, forecast

OVER = outline(5)
FACTS = Facts(num_train=100, num_classes=3, gflops=1.0)
HEAD = 2.0 * 16 * 3
STEM, BLOCK = 2_000.0, 20_000.0


def operations(text: str, **settings) -> list[float]:
    return [phase["operations"] for phase in forecast(plan(text, OVER, **settings), OVER, FACTS)["phases"]]


def test_full_costs_three_passes_an_epoch():
    assert operations("full", epochs=5) == [pytest.approx(100 * 5 * 3 * (STEM + 4 * BLOCK + HEAD))]


def test_a_cached_prefix_costs_once():
    below, above = STEM + 2 * BLOCK, 2 * BLOCK + HEAD
    assert operations("top(n=2)", epochs=5) == [pytest.approx(100 * (below + 5 * 3 * above))]
    assert operations("top(n=2)", epochs=5, cache=False) == [pytest.approx(100 * (5 * below + 5 * 3 * above))]
    assert operations("top(n=2)", epochs=5, augment={"flip": True}) == operations("top(n=2)", epochs=5, cache=False)
    assert operations("top(n=2)", epochs=5, augment={"flip": True}, cache_views=2) == [pytest.approx(100 * (2 * below + 5 * 3 * above))]


def test_the_ratio_is_that_of_the_rule():
    made = forecast(plan("top(n=2)", OVER, epochs=5), OVER, FACTS)["phases"][0]
    p = (STEM + 2 * BLOCK) / (STEM + 4 * BLOCK + HEAD)
    assert made["operations_without_cache"] / made["operations"] == pytest.approx(5 * (1 + 2 * (1 - p)) / (p + 5 * 3 * (1 - p)))


def test_phases_with_one_boundary_share_the_prefix():
    once, again = operations("top(n=0)+lp_ft", epochs=5)
    assert once > STEM * 100
    assert again == pytest.approx(100 * 5 * 3 * HEAD)


def test_longer_examples_cost_more():
    short, long = (forecast(plan("full", OVER), OVER, replace(FACTS, mean_length=length))["train_s"] for length in (10, 20))
    steps_s = 100 / 32 * 5 * STEP_S
    assert long - steps_s == pytest.approx(2 * (short - steps_s), rel=0.05)


def test_time_is_operations_over_the_rate_and_the_updates():
    over = plan("full", OVER, epochs=5, batch_size=50)
    cost = forecast(over, OVER, replace(FACTS, update_ns=1000.0))
    updates = 5 * 2 * (cost["trainable_parameters"] * 1e-6 + STEP_S)
    assert cost["train_s"] == pytest.approx(operations("full", epochs=5)[0] / 1e9 + updates)


def test_around_training_lie_preflight_valid_and_test():
    forward = STEM + 4 * BLOCK + HEAD
    bare, valid, test, later = (
        forecast(plan("full", OVER, epochs=5), OVER, replace(FACTS, **more))["time_s"]
        for more in ({}, {"num_valid": 10}, {"num_test": 1000}, {"start_s": 2.0})
    )
    assert bare > forecast(plan("full", OVER, epochs=5), OVER, FACTS)["train_s"]
    assert valid - bare == pytest.approx(10 * 5 * forward / 1e9)
    assert test - bare == pytest.approx(1000 * (forward - HEAD) / 1e9)
    assert later - bare == pytest.approx(2.0)


def test_a_refit_trains_twice():
    facts = replace(FACTS, num_valid=20)
    once, twice = (forecast(plan("full", OVER, epochs=5, refit=refit), OVER, facts)["train_s"] for refit in (False, True))
    assert twice == pytest.approx(2.2 * once)


def test_memory_stands_on_what_the_process_holds():
    bare, held = (forecast(plan("full", OVER), OVER, replace(FACTS, start_bytes=n))["peak_memory_bytes"] for n in (0, 10_000))
    assert held - bare == 10_000


def test_parameters_moving_and_stored():
    head = 17 * 3
    full, lora, probe = (forecast(plan(text, OVER), OVER, FACTS) for text in ("full", "lora(rank=2, where=query)", "linear_probe"))
    assert full["trainable_parameters"] == full["parameters"] == 4_500 + head
    assert lora["trainable_parameters"] == 4 * 2 * 32 + head
    assert lora["parameters"] == 4_500 + head + 4 * 2 * 32
    assert probe["stored_bytes"] == 4 * head


def test_memory_falls_with_what_is_frozen():
    peaks = [forecast(plan(text, OVER), OVER, FACTS)["peak_memory_bytes"] for text in ("full", "top(n=2)", "top(n=1)", "linear_probe")]
    assert peaks == sorted(peaks, reverse=True)
    assert forecast(plan("full", OVER, ema=0.9), OVER, FACTS)["peak_memory_bytes"] > peaks[0]


def test_disk_holds_what_enters_the_boundary():
    facts = replace(FACTS, num_valid=20, cache_value_bytes=2)
    assert forecast(plan("linear_probe", OVER), OVER, facts)["cache"]["bytes"] == 120 * 16 * 2
    assert forecast(plan("top(n=1)", OVER), OVER, facts)["cache"]["bytes"] == 120 * 640 // 2
    assert forecast(plan("full", OVER), OVER, facts)["cache"]["bytes"] == 0


@pytest.mark.parametrize(
    "text", [name if name not in ("freeze", "surgical") else {"freeze": "freeze(1)", "surgical": "surgical(0)"}[name] for name in WORDS]
)
def test_every_strategy_has_a_forecast(text):
    cost = forecast(plan(text, OVER), OVER, FACTS)
    assert set(cost) == {
        "time_s",
        "train_s",
        "controls_s",
        "peak_memory_bytes",
        "parameters",
        "trainable_parameters",
        "stored_bytes",
        "cache",
        "phases",
    }
    assert 0 < cost["train_s"] <= cost["time_s"]
    assert 0 < cost["trainable_parameters"] <= cost["parameters"]


def test_what_objectives_compute_beside_is_counted():
    """Live, a second forward goes the whole way; from the cache, as far as the first one goes; where the head alone moves there is none."""
    beside = replace(FACTS, forwards=1, ahead=7, copies=1)
    below, above = STEM + 2 * BLOCK, 2 * BLOCK + HEAD

    def counted(text, facts, **settings):
        return forecast(plan(text, OVER, epochs=5, **settings), OVER, facts)

    def of(text, **settings):
        return counted(text, beside, **settings)["phases"][0]["operations"] - counted(text, FACTS, **settings)["phases"][0]["operations"]

    assert of("top(n=2)") == pytest.approx(100 * 5 * above)
    assert of("top(n=2)", cache=False) == pytest.approx(100 * 5 * (below + above))
    assert of("top(n=0)") == pytest.approx(0.0)
    alone = replace(FACTS, ahead=7)
    assert counted("full", alone)["time_s"] - counted("full", FACTS)["time_s"] == pytest.approx(7 * (STEM + 4 * BLOCK) / 1e9, rel=1e-3)
    held = counted("full", replace(FACTS, copies=1))["peak_memory_bytes"] - counted("full", FACTS)["peak_memory_bytes"]
    assert held == pytest.approx(4 * (OVER.parameters + 17 * 3), rel=1e-6)


def test_live_what_takes_two_passes_takes_the_frozen_part_twice():
    twice = forecast(plan("top(n=2)", OVER, epochs=5, cache=False), OVER, replace(FACTS, passes=2))["phases"][0]["operations"]
    assert twice == pytest.approx(2 * operations("top(n=2)", epochs=5, cache=False)[0])
