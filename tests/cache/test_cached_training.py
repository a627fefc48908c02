"""Boundary and store together: training on stored entries is training live."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cache_hosts import FAMILIES, Host, build

from regraft.cache.boundary import Boundary, capture_many
from regraft.cache.derive import Pass, capture_for, lift, plan_passes
from regraft.cache.key import key
from regraft.cache.layout import layout_of
from regraft.cache.placeholder import NotReproduced
from regraft.cache.store import Cache
from regraft.cache.worth import Rates, Work, predict, rates

ROWS = 7


@pytest.fixture(scope="module", params=FAMILIES)
def host(request: pytest.FixtureRequest) -> Host:
    return build(request.param)


def take(inputs: dict[str, torch.Tensor], rows: np.ndarray) -> dict[str, torch.Tensor]:
    """The live batch of ``rows``, no longer than its longest one."""
    chosen = {name: tensor[torch.from_numpy(rows)] for name, tensor in inputs.items()}
    if "attention_mask" in chosen:
        longest = int(chosen["attention_mask"].sum(1).max())
        chosen = {name: tensor[:, :longest] for name, tensor in chosen.items()}
    return chosen


def lengths_of(inputs: dict[str, torch.Tensor]) -> np.ndarray | None:
    return inputs["attention_mask"].sum(1).numpy() if "attention_mask" in inputs else None


def test_logits_from_the_store_equal_live_ones(host: Host, tmp_path: Path) -> None:
    """Rows captured in one batch and read in another: to rounding; captured and read in the same one: bit for bit where no value at a
    padded position can reach the others."""
    host.network.eval()
    inputs = host.inputs(ROWS, 16)
    chosen = np.array([4, 0, 2])
    for index in host.boundaries:
        boundary = Boundary(host.network, index)
        layout = layout_of(boundary, inputs)
        batches = [(rows, take(inputs, rows)) for rows in (np.array([6, 1, 3, 5]), chosen)]
        entries = Cache(tmp_path, 1 << 26).fill(
            f"{index:064d}",
            batches,
            boundary.capture,
            layout=layout,
            num_rows=ROWS,
            lengths=lengths_of(inputs) if layout.is_ragged else None,
        )
        with torch.no_grad():
            batch = take(inputs, chosen)
            assert torch.equal(boundary.resume(entries.batch(chosen), batch), host.network(batch)), boundary.name
            other = np.array([6, 0, 5])
            live = host.network(take(inputs, other))
            assert torch.allclose(boundary.resume(entries.batch(other), take(inputs, other)), live, atol=1e-6, rtol=1e-5), boundary.name


def test_padding_is_never_stored() -> None:
    for name in ("bert", "wav2vec2"):
        host = build(name)
        inputs = host.inputs(ROWS, 16)
        layout = layout_of(Boundary(host.network, 2), inputs)
        lengths = lengths_of(inputs)
        assert layout.is_ragged
        assert layout.num_bytes(ROWS, lengths=lengths) == layout.row_lengths(lengths).sum() * 16 * 4
    assert (layout.row_lengths(lengths) == [(((n - 10) // 5 + 1) - 3) // 2 + 1 for n in lengths]).all(), "the strides of its convolutions"


def test_entries_without_a_batch_axis_cannot_be_stored() -> None:
    class Sums(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Linear(6, 16), torch.nn.Linear(16, 16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x).reshape(-1, 2, 16).flatten(0, 1))

    from cache_hosts import network_of

    from regraft.trunk.stage import Stage

    network = network_of(Sums(), [Stage("first", ("first",)), Stage("second", ("second",))], lambda host, inputs: host(inputs["input"]), 16)
    with pytest.raises(NotReproduced, match="no axis of its own for the batch"):
        layout_of(Boundary(network, 1), {"input": torch.randn(5, 4, 6)})


def test_a_higher_boundary_is_lifted_from_a_lower_one(host: Host) -> None:
    inputs = host.inputs(3, 12)
    boundaries = [Boundary(host.network, index) for index in host.boundaries]
    live = capture_many(boundaries, inputs)
    lifted = lift(boundaries[0], boundaries[1:], {name: tensor.clone() for name, tensor in live[1].items()}, inputs)
    assert set(lifted) == set(live) - {1}
    for index in lifted:
        assert lifted[index].keys() == live[index].keys()
        assert all(torch.equal(lifted[index][name], live[index][name]) for name in live[index]), index
    assert not any("forward" in module.__dict__ for module in host.network.modules())


def test_the_planner_takes_the_nearest_source_and_one_pass_for_several() -> None:
    assert plan_passes([6, 5, 4], []) == (Pass(None, (4, 5, 6)),)
    assert plan_passes([6, 5], [6]) == (Pass(None, (5,)),)
    assert plan_passes([2, 5, 6, 3], [3]) == (Pass(None, (2,)), Pass(3, (5, 6)))
    assert plan_passes([3], [3]) == ()
    host = build("bert")
    boundaries = {index: Boundary(host.network, index) for index in host.boundaries}
    inputs = host.inputs(3, 12)
    live = capture_for(Pass(None, (1, 3)), boundaries, None, inputs)
    again = capture_for(Pass(1, (3,)), boundaries, live[1], inputs)
    assert torch.equal(*(next(iter(found[3].values())) for found in (live, again)))


def test_the_key_changes_with_everything_that_matters_and_nothing_else() -> None:
    host, data = build("timm_resnet"), SimpleNamespace(fingerprint="f1")
    network = host.network
    first = key(network, 2, data)
    assert key(network, 2, data) == first and first.isalnum()
    with torch.no_grad():
        network.head.linear.weight += 1
        network.host.layer4[0].conv1.weight += 1
    assert key(network, 2, data) == first, "what is above the boundary does not matter"
    variants = [
        key(network, 3, data),
        key(network, 2, SimpleNamespace(fingerprint="f2")),
        key(network, 2, data, preprocessing={"margin": 1.1}),
        key(network, 2, data, dtype="bfloat16"),
        key(network, 2, data, view=(1, 0)),
        key(network, 2, data, view=(0, 1)),
        key(network, 2, data, compute="bfloat16"),
        key(network, 2, data, pooled=True),
    ]
    network.host.bn1.running_mean += 1e-3
    variants.append(key(network, 2, data))
    network.host.bn1.running_mean -= 1e-3
    network.trunk.input = dataclasses.replace(network.trunk.input, mean=(0.5, 0.5, 0.5))
    variants.append(key(network, 2, data))
    assert len({first, *variants}) == len(variants) + 1


def test_the_prediction_says_why() -> None:
    fast = Rates(gather=4e9, read=1e9, write=1e9, free_memory_bytes=8 << 30)
    work = Work(num_rows=10_000, row_bytes=20_000, prefix_macs=1e8, passes=5)
    good = predict(work, fast, gflops=50, limit_bytes=1 << 30)
    assert good.pays and not good.reason
    assert good.live_s == pytest.approx(200) and 40 < good.cached_s < 45
    once = predict(dataclasses.replace(work, passes=1), fast, gflops=50, limit_bytes=1 << 30)
    assert not once.pays, "a single pass reads nothing back"
    assert predict(dataclasses.replace(work, passes=1, is_present=True), fast, gflops=50, limit_bytes=1 << 30).pays
    slow = predict(work, Rates(4e9, 1e6, 1e6, 1 << 20), gflops=50_000, limit_bytes=1 << 30)
    assert not slow.pays and slow.reason.startswith("reading 200 MB would take")
    over = predict(work, fast, gflops=50, limit_bytes=1 << 20)
    assert not over.pays and over.reason == "200 MB would be over the limit of 1 MB"


def test_rates_are_measured(tmp_path: Path) -> None:
    found = rates(tmp_path / "new")
    assert min(found.gather, found.read, found.write) > 1e6 and found.free_memory_bytes > 1 << 20
    assert not list((tmp_path / "new").iterdir())
