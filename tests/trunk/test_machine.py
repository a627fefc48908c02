from __future__ import annotations

import time

import pytest
import torch

from regraft.trunk import machine


def test_it_is_measured_once_and_adds_up():
    state = torch.get_rng_state()
    found = machine.measure()
    began = time.perf_counter()
    assert machine.measure() is found
    assert time.perf_counter() - began < 0.01
    assert torch.equal(state, torch.get_rng_state())
    assert found.fp32_gflops > 0
    assert found.num_threads == torch.get_num_threads()
    assert found.device == "cuda" if torch.cuda.is_available() else found.device in {"cpu", "mps"}
    assert found.memory_bytes > 2**28


def test_the_faster_precision_is_the_one_chosen():
    found = machine.measure()
    assert found.precision == ("bf16" if found.bf16_gflops > machine.WORTH_IT * found.fp32_gflops else "fp32")
    assert found.gflops == {"bf16": found.bf16_gflops, "fp32": found.fp32_gflops}[found.precision]


@pytest.mark.parametrize(("bf16", "sides"), [(1.0, [machine.GLANCE]), (400.0, [machine.GLANCE, 0])])
def test_a_large_product_is_timed_only_where_bf16_is_not_imitated(monkeypatch: pytest.MonkeyPatch, bf16: float, sides: list[int]) -> None:
    asked = []

    def rate(device: str, dtype: torch.dtype, side: int = 0) -> float:
        if dtype is torch.bfloat16:
            asked.append(side)
            return bf16
        return 100.0

    monkeypatch.setattr(machine, "_matmul_gflops", rate)
    assert machine._bf16_gflops("cpu") == bf16
    assert asked == sides


def test_the_rate_is_that_of_a_plain_product():
    rate = machine._matmul_gflops("cpu", torch.float32)
    left = torch.randn(machine.SIDE, machine.SIDE)
    best = min(_timed(left) for _ in range(20))
    assert 0.2 < rate / (2 * machine.SIDE**3 / best / 1e9) < 5


def _timed(left: torch.Tensor) -> float:
    began = time.perf_counter()
    left @ left
    return time.perf_counter() - began


def test_a_container_limit_counts(tmp_path, monkeypatch):
    assert machine.memory_bytes() <= machine._physical_bytes()
    monkeypatch.setattr(machine, "_container_limits", lambda: [1 << 28])
    assert machine.memory_bytes() == 1 << 28
