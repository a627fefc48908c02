from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from regraft.train import dropout as ours

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
def test_the_share_asked_for_is_dropped_and_the_mean_is_kept(p: float) -> None:
    found = ours.dropout(torch.ones(400, 1000), p)
    gone = (found == 0).float()
    four_sigma = 4 * (p * (1 - p) / found.numel()) ** 0.5
    assert abs(gone.mean() - p) < four_sigma
    assert found.unique().tolist() == pytest.approx([0, 1 / (1 - p)], rel=2e-4)
    lanes = gone.reshape(-1, 4)
    assert (lanes.mean(0) - p).abs().max() < 2 * four_sigma
    together = (lanes[:, :-1] * lanes[:, 1:]).mean()
    assert abs(together - p * p) < 2 * four_sigma


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 3, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_shape_and_type_stay(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    values = torch.ones(shape, dtype=dtype)
    found = ours.dropout(values, 0.5)
    assert found.shape == values.shape and found.dtype == dtype
    assert ours.dropout(values, 0.5, inplace=True) is values


def test_the_same_seed_draws_the_same_and_the_gradient_passes_where_values_do() -> None:
    values = torch.rand(64, 33).add_(1).requires_grad_()
    torch.manual_seed(7)
    first = ours.dropout(values, 0.3)
    torch.manual_seed(7)
    assert torch.equal(first, ours.dropout(values, 0.3))
    assert not torch.equal(first, ours.dropout(values, 0.3))
    (gradient,) = torch.autograd.grad(first.sum(), values)
    assert torch.allclose(gradient * values, first)


@pytest.mark.parametrize("p", [0.0, 1.0, 1e-7])
def test_what_is_no_share_in_sixteen_bits_is_left_to_torch(p: float) -> None:
    assert ours.dropout(torch.ones(1000), p).sum().item() == pytest.approx(0 if p == 1 else 1000)
    assert ours.dropout(torch.ones(1000), 0.5, training=False).sum() == 1000


def test_within_it_modules_draw_in_the_faster_way(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    own = ours._kept
    monkeypatch.setattr(ours, "_kept", lambda shape, cut: drawn.append(shape) or own(shape, cut))
    monkeypatch.setattr(torch, "get_num_threads", lambda: ours.FEW)
    network, x = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)), torch.ones(2, 4)
    with ours.cheap_dropout(network, CPU):
        network(x).sum().backward()
        network.eval()(x)
    assert drawn == [(2, 4)]
    network.train()(x)
    assert len(drawn) == 1


@pytest.mark.parametrize(("threads", "p", "device"), [(ours.FEW + 1, 0.5, "cpu"), (1, 0.0, "cpu"), (1, 0.5, "cuda")])
def test_elsewhere_torch_draws(monkeypatch: pytest.MonkeyPatch, threads: int, p: float, device: str) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert isinstance(ours.cheap_dropout(nn.Dropout(p), torch.device(device)), nullcontext)
