from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from regraft.train.thinned import thinned


@pytest.mark.parametrize("stride", [2, (3, 1)])
@pytest.mark.parametrize("bias", [False, True])
def test_the_same_numbers_and_gradients(stride: int | tuple[int, int], bias: bool) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 1, stride, bias=bias))
    pixels = torch.randn(2, 3, 9, 12)  # not channels-last, which is what is computed wrongly
    expected = network(pixels)
    gradients = torch.autograd.grad(expected.square().sum(), list(network.parameters()))
    with thinned(network):
        found = network(pixels.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(found, expected, atol=1e-6)
    for one, other in zip(torch.autograd.grad(found.square().sum(), list(network.parameters())), gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("whole", [nn.Conv2d(3, 4, 1), nn.Conv2d(8, 4, 1, 2), nn.Conv2d(3, 4, 3, 2), nn.Conv2d(3, 3, 1, 2, groups=3)])
def test_others_are_left_alone(whole: nn.Module) -> None:
    assert isinstance(thinned(whole), nullcontext)


def test_a_repvgg_is_trained_and_the_process_lives() -> None:
    code = """
import timm, torch
from regraft.train.thinned import thinned
model = timm.create_model("repvgg_a0", num_classes=2).to(memory_format=torch.channels_last)
for _ in range(3):
    with thinned(model):
        model(torch.randn(2, 3, 64, 64).to(memory_format=torch.channels_last)).square().sum().backward()
print("lived")
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stdout.endswith("lived\n")
