"""Among models the probe decides, and a tie goes to the cheaper one."""

from __future__ import annotations

import numpy as np
import pytest

from regraft.advise.model import Candidate, choose
from regraft.advise.probe import ProbeResult
from regraft.errors import RequestError
from regraft.evaluate.bootstrap import accuracy


def candidate(reference: str, num_correct: int, *, macs: int) -> Candidate:
    """A model whose probe got the first ``num_correct`` of 400 right."""
    correct = np.arange(400) < num_correct
    empty = np.zeros(0, np.float32)
    probe = ProbeResult(
        weights=empty, bias=empty, mean=empty, scale=empty, c=1.0, cv_accuracy=accuracy(correct), cv_predictions=correct.astype(np.intp),
        cv_correct=correct, rows=np.arange(400), seconds=0.1,
    )  # fmt: skip
    return Candidate(reference, probe, macs)


def test_the_clearly_better_model_wins_whatever_it_costs():
    reference, reasons = choose([candidate("small", 300, macs=1), candidate("large", 360, macs=50)])
    assert reference == "large"
    assert reasons[0].startswith("chosen: a linear probe on large is right on 0.900 [")
    assert reasons[1].startswith("not chosen: a linear probe on small is right on 0.750 [")
    assert reasons[1].endswith("at 0.0 times the cost of large")


def test_a_tie_goes_to_the_cheaper_model():
    reference, reasons = choose([candidate("large", 361, macs=50), candidate("small", 359, macs=1)])
    assert reference == "small"
    assert reasons[0].endswith("; the cheapest of 2 that tie")
    assert reasons[1].endswith("at 50.0 times the cost of small")


def test_a_single_model_is_chosen():
    assert choose([candidate("only", 100, macs=1)])[0] == "only"


def test_no_model_at_all_is_said():
    with pytest.raises(RequestError, match="choose a model\nfound: no model here fits this kind of input\ntry:   regraft models"):
        choose([])
