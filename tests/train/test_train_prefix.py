"""The frozen part of each phase is computed at most once over all phases: counted in rows that go through each block without gradient."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from train_hosts import TEXT, Block, phase, plan, same, text_network, texts, weights

from regraft.cache.store import Cache
from regraft.plan.caching import is_kept, shared
from regraft.train.fit import fit

ROWS, VALID = 60, 25
SMALL = 4
"""Preflight and the probe of equality take so many rows at once, passes over a split more."""


@pytest.fixture
def frozen_rows(monkeypatch):
    """index of a block -> rows that went through it in passes without gradient."""
    counted: Counter[int] = Counter()
    own = Block.forward

    def forward(self, x):
        if type(x) is torch.Tensor and x.device.type == "cpu" and not torch.is_grad_enabled() and len(x) > SMALL:
            counted[self.place] += len(x)
        return own(self, x)

    monkeypatch.setattr(Block, "forward", forward)
    return counted


def network_with_places():
    network = text_network()
    for place, block in enumerate(network.trunk.host.blocks):
        block.place = place
    return network


def trained(folder: Path, phases, *, cache: Cache | None, valid: bool = False, network=None, **settings):
    network = network or network_with_places()
    data = {"train": texts(ROWS), "valid": texts(VALID, seed=1) if valid else None}
    chosen = plan(network, phases, **{"lr": 1e-3} | settings)
    return network, fit(network, chosen, TEXT, data, folder=folder, cache=cache)


def walking_down():
    """Head, then one block more in each phase, as gradual unfreezing has it."""
    return [phase(f"from {low}", [index >= low for index in range(5)], epochs_fraction=0.25) for low in (4, 3, 2, 1)]


def test_gradual_unfreezing_takes_one_pass_over_the_frozen_part(tmp_path, frozen_rows):
    network, history = trained(tmp_path / "run", walking_down(), cache=Cache(tmp_path / "cache", 1 << 24), epochs=8.0)
    assert [start.cached for start in history.phases] == [True] * 4 and not history.events
    assert frozen_rows == {0: ROWS, 1: ROWS, 2: ROWS}
    live, _ = trained(tmp_path / "live", walking_down(), cache=None, epochs=8.0)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(weights(network).values(), weights(live).values(), strict=True))


def test_phases_of_less_than_an_epoch_share_a_pass_too(tmp_path, frozen_rows):
    _, history = trained(tmp_path / "run", walking_down(), cache=Cache(tmp_path / "cache", 1 << 24), epochs=2.0)
    assert [start.cached for start in history.phases] == [True] * 4
    assert frozen_rows == {0: ROWS, 1: ROWS, 2: ROWS}


def test_where_the_boundary_rises_only_the_stages_between_run(tmp_path, frozen_rows):
    rising = [
        phase("low", [False, True, True, True, True], epochs_fraction=0.5),
        phase("high", [False] * 3 + [True] * 2, epochs_fraction=0.5),
    ]
    trained(tmp_path / "run", rising, cache=Cache(tmp_path / "cache", 1 << 24), epochs=4.0)
    assert frozen_rows == {0: ROWS, 1: ROWS}  # the embedding's output is there already, and two blocks of the second phase have moved


def test_a_plan_starts_from_what_another_one_left(tmp_path, frozen_rows):
    cache = Cache(tmp_path / "cache", 1 << 24)
    top = lambda low: [phase("top", [index >= low for index in range(5)])]  # noqa: E731
    trained(tmp_path / "two", top(2), cache=cache)
    assert frozen_rows == {0: ROWS}
    trained(tmp_path / "one", top(3), cache=cache)
    trained(tmp_path / "head", top(4), cache=cache)
    trained(tmp_path / "again", top(3), cache=cache, lr=1e-2)
    assert frozen_rows == {0: ROWS, 1: ROWS, 2: ROWS}


def test_a_solved_head_and_the_tuning_after_it_share_a_pass_over_both_splits(tmp_path, frozen_rows):
    solved = phase("probe", [False] * 4 + [True], solver="closed_form", epochs_fraction=0.0)
    _, history = trained(tmp_path / "run", [solved, *walking_down()[1:2]], cache=Cache(tmp_path / "cache", 1 << 24), valid=True, epochs=8.0)
    assert [start.cached for start in history.phases] == [True, True]
    assert frozen_rows[0] == frozen_rows[1] == ROWS + VALID


def test_a_head_solved_after_the_tuning_begins_at_what_is_kept_below_it(tmp_path, frozen_rows):
    before, after = (phase(name, [False] * 4 + [True], solver="closed_form", epochs_fraction=0.0) for name in ("probe", "solved"))
    top = phase("top", [False] * 3 + [True] * 2)
    trained(tmp_path / "run", [before, top, after], cache=Cache(tmp_path / "cache", 1 << 24), valid=True, epochs=1.0)
    assert frozen_rows[0] == frozen_rows[1] == ROWS + VALID < frozen_rows[2]


def test_where_there_is_no_room_for_all_each_phase_keeps_its_own(tmp_path):
    tokens = int(texts(ROWS).lengths.sum())
    cache = Cache(tmp_path / "cache", int(1.6 * tokens * 16 * 4))  # one boundary of blocks fits, two do not
    phases = [phase(f"from {low}", [index >= low for index in range(5)], epochs_fraction=0.5) for low in (3, 1)]
    _, history = trained(tmp_path / "run", phases, cache=cache, epochs=4.0)
    assert history.phases[0].cached


def test_entries_that_do_not_fit_are_kept_in_half_and_it_is_said(tmp_path):
    tokens = int(texts(ROWS).lengths.sum())
    cache = Cache(tmp_path / "cache", int(0.7 * tokens * 16 * 4))
    network, history = trained(tmp_path / "run", [phase("top", [False, False, True, True, True])], cache=cache)
    assert history.phases[0].cached
    assert history.events[0].startswith("cached activations are kept in float16, as they do not fit otherwise: logits change by")
    live, _ = trained(tmp_path / "live", [phase("top", [False, False, True, True, True])], cache=None)
    assert all(torch.allclose(one, other, atol=5e-3) for one, other in zip(weights(network).values(), weights(live).values(), strict=True))


def test_entries_are_the_same_whatever_the_batch_size_of_the_run(tmp_path):
    stored = []
    for size in (4, 16):
        cache = Cache(tmp_path / str(size), 1 << 24)
        trained(tmp_path / f"run {size}", [phase("top", [False, False, True, True, True])], cache=cache, batch_size=size)
        stored.append({path.name: (path / "0.bin").read_bytes() for path in (tmp_path / str(size)).iterdir() if path.is_dir()})
    assert stored[0] == stored[1] and len(stored[0]) == 1


def test_which_phases_share_a_pass_is_a_fact_of_the_plan():
    network = text_network()
    down = plan(network, walking_down(), epochs=1.0)
    assert shared(down, 0) == (0, 1, 2, 3) and not any(is_kept(down, at) for at in range(4))
    assert all(is_kept(plan(network, walking_down(), epochs=2.0), at) for at in range(4))
    up = plan(network, walking_down()[::-1], epochs=4.0)
    assert [shared(up, at) for at in range(4)] == [(0,), (1,), (2,), (3,)]
    assert not is_kept(up, 1)


def test_a_resumed_run_decides_as_the_first_one_did(tmp_path):
    from test_train_resume import KillAfter, Killed

    data = {"train": texts(30), "valid": texts(12, seed=1)}
    whole, again = text_network(), text_network()
    chosen = plan(whole, walking_down(), epochs=6.0)
    fit(whole, chosen, TEXT, data, folder=tmp_path / "whole", cache=Cache(tmp_path / "cache", 1 << 24))
    with pytest.raises(Killed):
        fit(again, chosen, TEXT, data, folder=tmp_path / "killed", cache=Cache(tmp_path / "other", 1 << 24), observer=KillAfter(10))
    again = text_network()
    fresh = Cache(tmp_path / "fresh", 1 << 24)  # what the killed process had stored is gone: it is computed anew, to the same bits
    fit(again, chosen, TEXT, data, folder=tmp_path / "killed", cache=fresh, resume=True)
    assert same(weights(again), weights(whole))


def test_a_cache_without_room_for_anything_raises_what_it_found(tmp_path):
    _, history = trained(tmp_path / "run", walking_down(), cache=Cache(tmp_path / "cache", 10), epochs=8.0)
    assert not any(start.cached for start in history.phases)
    assert history.events[0].startswith("phase 'from 4' is trained live: cache")
