"""The laws over every registered objective."""

from __future__ import annotations

import pytest
import torch

from regraft.errors import PreflightError
from regraft.testing import check_objective
from regraft.train import objective as seam
from regraft.train.objective import Declared, Term, known_objectives, objective

TYPED = {
    "class_balanced": "class_balanced(beta=0.9)",
    "co_tuning": "co_tuning(weight=0.5)",
    "delta": "delta(strength=0.01, stages=[blocks.1, neck])",
    "distill": "distill(teacher=any, temperature=2, weight=0.7)",
    "dwa": "dwa(temperature=2)",
    "ewc": "ewc(strength=1, count=6)",
    "famo": "famo(lr=0.1)",
    "feature_distill": "feature_distill(teacher=any, pairs=[blocks.2:x, neck:y], weight=0.01)",
    "focal": "focal(gamma=1)",
    "gradnorm": "gradnorm(alpha=1, lr=0.1)",
    "l2_sp": "l2_sp(strength=0.001, adapt=drift)",
    "logit_adjusted": "logit_adjusted(tau=1)",
    "pcgrad": "pcgrad",
    "r_drop": "r_drop(strength=0.5)",
    "sam": "sam(rho=0.05)",
    "task_weights": "task_weights(channel=linear(1, 0.5), brightness=0.5)",
    "uncertainty": "uncertainty(lr=0.1)",
}
ELSEWHERE = frozenset({"attention_distill", "dpo", "dice"})
"""Of other data than the toy's, or of stages with places: tests/train/test_objective_attention.py, test_objective_dpo.py and test_objective_masks.py run the laws over them."""
COMPOSED = "sam+delta(strength=0.01)+co_tuning(relation=direct)+distill(teacher=any)+l2_sp(strength=0.001)+focal"
WEIGHED = "sam+uncertainty+pcgrad+l2_sp(strength=0.001)"


def test_every_registered_objective_is_here():
    assert {*TYPED, *ELSEWHERE} == set(known_objectives())
    assert len(TYPED) == 17


@pytest.mark.parametrize("text", [*TYPED.values(), COMPOSED, WEIGHED])
def test_the_laws_hold_for_an_objective(text):
    counts = check_objective(text)
    assert counts["phases"] == counts["cached"] == 1
    assert counts["resumed"] == 3


def test_an_objective_that_draws_from_elsewhere_is_told_so(monkeypatch):
    """Its gradient depends on how often it was called before, so a resumed run ends elsewhere."""
    monkeypatch.setattr(seam, "REGISTRY", dict(known_objectives()))

    @objective
    def restless() -> Declared:
        def begin(start):
            calls = []

            def penalty(run):
                calls.append(None)
                return len(calls) * sum(p.square().sum() for p in run.parameters) * 1e-3

            return Term(penalty=penalty)

        return Declared(begin)

    with pytest.raises(PreflightError, match="two steps after a resume differ from two steps without"):
        check_objective("restless")


def test_an_objective_of_the_whole_batch_is_told_so(monkeypatch):
    monkeypatch.setattr(seam, "REGISTRY", dict(known_objectives()))

    @objective
    def entangled() -> Declared:
        return Declared(lambda start: Term(shares=lambda seen: seen.logits.std(0).sum() * torch.ones(len(seen.logits))))

    with pytest.raises(AssertionError, match="entangled: a batch in parts differs from the batch"):
        check_objective("entangled")
