"""Entries that cost more to read than to compute are not kept, and the plan says why."""

from __future__ import annotations

import pytest

import regraft as rg
from regraft.cache import worth
from regraft.cache.worth import Rates

OPTIONS = {"strategy": "top(n=1)", "epochs": 3.0, "batch_size": 8}


def measured(monkeypatch: pytest.MonkeyPatch, **rates: float) -> None:
    made = Rates(**{"gather": 4e9, "read": 1e9, "write": 1e9, "free_memory_bytes": 8 << 30, **rates})
    monkeypatch.setattr(worth, "rates", lambda folder: made)


def test_a_slow_disk_leaves_the_phase_live(data, model, tmp_path, monkeypatch):
    measured(monkeypatch, gather=10.0, read=10.0, write=10.0)
    plan = rg.plan(data, model=model, store=tmp_path / "store", **OPTIONS)
    assert plan.phases[0].live.startswith("reading ")
    assert plan.cost["cache"] == {"bytes": 0, "boundaries": [f"nothing: {plan.phases[0].live}"]}
    made = rg.tune(plan, store=tmp_path / "store")
    assert made.document["cost"]["cache"]["phases_cached"] == 0


def test_what_pays_or_costs_nobody_a_second_is_kept(data, model, tmp_path, monkeypatch):
    measured(monkeypatch)
    assert not rg.plan(data, model=model, store=tmp_path / "store", **OPTIONS).phases[0].live


def test_the_digest_says_what_is_learned_and_not_how_it_is_read(data, model, tmp_path, monkeypatch):
    measured(monkeypatch)
    kept = rg.plan(data, model=model, store=tmp_path / "store", **OPTIONS)
    measured(monkeypatch, gather=10.0, read=10.0, write=10.0)
    live = rg.plan(data, model=model, store=tmp_path / "store", **OPTIONS)
    assert live.phases[0].live and not kept.phases[0].live
    assert live.digest == kept.digest, "a run can be resumed though the disk has become slower"
