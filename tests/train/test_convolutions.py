"""Weight gradients of convolutions as products: the numbers of torch, and only where they are the faster way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from regraft.train import convolutions
from regraft.train.convolutions import product_gradients

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def on_avx2(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever this machine has, and on one thread."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def gradients(network: nn.Module, pixels: torch.Tensor) -> list[torch.Tensor]:
    pixels = pixels.clone(memory_format=torch.preserve_format).requires_grad_()
    return list(torch.autograd.grad(network(pixels).square().sum(), [pixels, *network.parameters()]))


@pytest.mark.parametrize(
    "asked",
    [{"kernel_size": 3, "padding": 1}, {"kernel_size": 3, "stride": 2, "padding": 1, "bias": False}, {"kernel_size": (5, 3), "padding": (2, 0)},
     {"kernel_size": 3, "dilation": 2, "stride": (2, 1)}, {"kernel_size": 1}, {"kernel_size": 1, "stride": (1, 3)}, {"kernel_size": 2, "stride": 2}],
)  # fmt: skip
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("at_once", [200, 40])  # several images, some lines of one; and a rest
def test_the_gradients_are_those_of_torch(asked, order, at_once, monkeypatch) -> None:
    monkeypatch.setattr(convolutions, "PLACES", at_once)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(96, 64, **asked)).to(memory_format=order)
    pixels = torch.randn(5, 96, 11, 14).contiguous(memory_format=order)
    expected = gradients(network, pixels)
    with product_gradients(network, CPU):
        assert type(network(pixels).grad_fn).__name__ == "_ConvolutionBackward"
        found = gradients(network, pixels)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_they_can_be_taken_twice_and_again() -> None:
    torch.manual_seed(0)
    pixels, weight, bias = (torch.randn(*size, dtype=torch.float64, requires_grad=True) for size in ((2, 3, 5, 4), (2, 3, 3, 3), (2,)))
    convolved = lambda *tensors: convolutions._Convolution.apply(*tensors, (2, 1), (1, 0), (1, 1))  # noqa: E731
    assert torch.autograd.gradcheck(convolved, (pixels, weight, bias))
    assert torch.autograd.gradgradcheck(convolved, (pixels, weight, bias))


@pytest.mark.parametrize(
    "other",
    [nn.Conv2d(96, 64, 3, groups=2), nn.Conv2d(3, 64, 3), nn.Conv2d(96, 48, 3), nn.Conv2d(96, 64, 3, padding="same"),
     nn.Conv2d(96, 64, 3, padding=1, padding_mode="reflect"), nn.Conv2d(96, 64, 3).requires_grad_(False), nn.Conv2d(96, 64, 3).bfloat16()],
)  # fmt: skip
def test_other_convolutions_are_left_alone(other: nn.Module) -> None:
    assert isinstance(product_gradients(other, CPU), nullcontext)


def test_other_processors_are_left_alone(monkeypatch) -> None:
    network = nn.Conv2d(96, 64, 3)
    assert not isinstance(product_gradients(network, CPU), nullcontext)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert isinstance(product_gradients(network, CPU), nullcontext)
    assert isinstance(product_gradients(network, torch.device("cuda")), nullcontext)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    torch.set_num_threads(convolutions.FEW + 1)
    assert isinstance(product_gradients(network, CPU), nullcontext)


def test_half_precision_and_answers_take_torchs_own_way() -> None:
    network, pixels = nn.Conv2d(96, 64, 3), torch.randn(1, 96, 5, 5)
    with product_gradients(network, CPU):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert type(network(pixels).grad_fn).__name__ != "_ConvolutionBackward"
        with torch.no_grad():
            assert network(pixels).grad_fn is None
