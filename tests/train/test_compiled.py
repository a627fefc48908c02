"""Compiled stages compute what they compute uncompiled, above a cached boundary too, and a resumed run the same bits; what cannot be compiled is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from train_hosts import TEXT, full, phase, plan, same, text_network, texts, weights

from regraft.cache import Cache
from regraft.errors import PlanError
from regraft.plan.objective import parse
from regraft.train import compiled
from regraft.train.compiled import missing_compiler
from regraft.train.fit import fit

TOP = [False, False, True, True]
needs_compiler = pytest.mark.skipif(missing_compiler("cpu") is not None, reason=str(missing_compiler("cpu")))


class Killed(Exception): ...


class KillAfter:
    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_phase(self, start) -> None: ...

    def on_epoch(self, record) -> None: ...

    def on_step(self, record) -> None:
        self.left -= 1
        if not self.left:
            raise Killed


def trained(folder, *, compile: bool, cache=None, dropout: float = 0.0, **options):
    network = text_network(blocks=2, dropout=dropout)
    chosen = plan(network, [phase("top", TOP)], compile=compile, dropout=dropout)
    history = fit(network, chosen, TEXT, {"train": texts(20), "valid": None}, folder=folder, cache=cache, **options)
    return weights(network), history


@needs_compiler
def test_compiled_equals_uncompiled_live_and_above_a_cached_boundary(tmp_path):
    eager, _ = trained(tmp_path / "eager", compile=False)
    live, _ = trained(tmp_path / "live", compile=True)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    cached, history = trained(tmp_path / "cached", compile=True, cache=Cache(tmp_path / "cache", 1 << 30))
    assert graphs and history.phases[0].cached
    for name, value in eager.items():
        torch.testing.assert_close(live[name], value, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(cached[name], value, rtol=1e-4, atol=1e-5)


@needs_compiler
def test_a_resumed_run_computes_the_same_bits(tmp_path):
    whole, _ = trained(tmp_path / "whole", compile=True, dropout=0.1)
    with pytest.raises(Killed):
        trained(tmp_path / "killed", compile=True, dropout=0.1, observer=KillAfter(4))
    resumed, _ = trained(tmp_path / "killed", compile=True, dropout=0.1, resume=True)
    assert same(whole, resumed)


def test_without_a_compiler_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "COMPILERS", ("no-such-compiler",))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(PlanError, match=r"found: no C\+\+ compiler is here \(looked for no-such-compiler\)\ntry:   --set compile=false"):
        trained(tmp_path, compile=True)


def test_with_an_objective_that_takes_the_gradient_apart_it_is_refused(tmp_path):
    network = text_network(blocks=2)
    chosen = replace(full(network, compile=True), objectives=parse("sam"))
    with pytest.raises(PlanError, match="an objective of this run takes gradients, or the step, apart"):
        fit(network, chosen, TEXT, {"train": texts(8), "valid": None}, folder=tmp_path)
