"""Two models on the same examples: a difference inside the noise is a tie."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from regraft.errors import RequestError
from regraft.evaluate.compare import mcnemar, paired


def answers(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    a = [True] * both + [True] * only_a + [False] * only_b + [False] * neither
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return np.array(a), np.array(b)


def test_a_clear_lead_is_better_and_the_other_way_round_worse():
    a, b = answers(800, 60, 20, 120)
    forward, backward = paired(a, b, seed=0), paired(b, a, seed=0)
    assert (forward.verdict, backward.verdict) == ("better", "worse")
    assert forward.difference.value == pytest.approx(0.04)
    assert backward.difference.value == pytest.approx(-0.04)
    assert 0 < forward.difference.low < 0.04 < forward.difference.high


def test_a_lead_inside_the_noise_is_a_tie():
    assert paired(*answers(800, 45, 40, 115), seed=0).verdict == "tie"


def test_few_examples_never_prove_anything():
    verdict = paired(*answers(0, 4, 0, 0), seed=0)  # four wins out of four: p = 0.125
    assert (verdict.verdict, verdict.p_value) == ("tie", 0.125)


def test_a_model_ties_with_itself():
    a, _ = answers(50, 10, 0, 20)
    verdict = paired(a, a, seed=0)
    assert (verdict.verdict, verdict.p_value) == ("tie", 1.0)
    assert (verdict.difference.low, verdict.difference.high) == (0.0, 0.0)


def test_one_example_is_a_tie():
    assert paired(np.array([True]), np.array([False]), seed=0).verdict == "tie"


@pytest.mark.parametrize(("wins", "losses"), [(0, 1), (3, 9), (60, 20), (7, 7), (500, 431)])
def test_the_p_value_is_the_exact_binomial_one(wins: int, losses: int):
    assert mcnemar(wins, losses) == pytest.approx(binomtest(wins, wins + losses, 0.5).pvalue)


def test_equal_models_are_told_apart_in_at_most_one_case_in_twenty():
    rng = np.random.default_rng(0)
    calls = [paired(rng.random(400) < 0.8, rng.random(400) < 0.8, seed=i).verdict for i in range(300)]
    assert sum(call != "tie" for call in calls) <= 300 * 0.05 * 1.5


def test_a_verdict_is_json_and_reads_as_a_sentence():
    verdict = paired(*answers(800, 60, 20, 120), seed=0)
    assert json.loads(json.dumps(verdict.json()))["difference"]["n"] == 1000
    assert str(verdict).startswith("better: +0.040 [+0.0")


def test_answers_to_different_examples_are_refused():
    with pytest.raises(RequestError, match=r"\(3,\) and \(2,\) answers\ntry:   one answer of each to each example"):
        paired(np.ones(3, bool), np.ones(2, bool), seed=0)
