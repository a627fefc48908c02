"""The maps of a trunk: which stages give them, and what a head reads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regraft.errors import TrunkError
from regraft.spec import InputSpec
from regraft.surgery.decoder import PyramidHead
from regraft.testing.hosts import HOSTS, trunk_of
from regraft.trunk.network import Network
from regraft.trunk.pyramid import levels, maps, passed
from regraft.trunk.trunk import Trunk

CONVOLUTIONAL = (
    "timm resnet10t",
    "timm convnext_atto",
    "timm swin",
    "torchvision resnet",
    "torchvision mobilenet_v2",
    "torchvision vgg11_bn",
)
TRANSFORMERS = ("timm vit", "torchvision vit", "timm deit")


def sized(name: str, size: int) -> Trunk:
    trunk = trunk_of(name)
    trunk.input = InputSpec(kind="image", size=(size, size))
    return trunk


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_convolutional_trunk_has_a_map_of_each_size(name):
    trunk = sized(name, 56 if "swin" in name else 64)
    found = levels(trunk)
    strides = [level.stride for level in found]
    assert len(found) >= 2 and strides == sorted(set(strides)) and strides[0] >= 4
    made = maps(trunk, {"image": torch.randn(2, 3, *trunk.input.size)})
    assert [tuple(one.shape[:2]) for one in made[:-1]] == [(2, level.channels) for level in found]
    assert [one.shape[-1] for one in made[:-1]] == [round(trunk.input.size[0] / stride) for stride in strides]
    assert made[-1].shape == (2, trunk.width)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_vision_transformer_has_one_map_without_its_class_token(name):
    trunk = sized(name, 32)
    (level,) = levels(trunk)
    image = torch.randn(2, 3, 32, 32)
    grid, _ = maps(trunk, {"image": image})
    assert level.layout == "tokens" and grid.shape[-1] == grid.shape[-2] == 32 // int(level.stride)
    seen: list[torch.Tensor] = []
    hook = trunk.host.get_submodule(level.path).register_forward_hook(lambda _, __, output: seen.append(output))
    trunk.features({"image": image})
    hook.remove()
    assert torch.equal(grid[0, :, 0, 0], seen[0][0, seen[0].shape[1] - grid[0, 0].numel()]), "the first place is the first patch"


def test_images_need_not_be_square():
    trunk = sized("timm resnet10t", 64)
    made = maps(trunk, {"image": torch.randn(1, 3, 64, 96)})
    assert [tuple(one.shape[-2:]) for one in made[:2]] == [(16, 24), (8, 12)]


def test_nothing_stays_behind_after_a_forward():
    trunk = sized("timm resnet10t", 32)
    maps(trunk, {"image": torch.randn(1, 3, 32, 32)})
    assert passed() == {}
    assert not any(module._forward_hooks for module in trunk.host.modules())


def test_a_head_that_reads_maps_gets_them_and_every_stage_its_gradient():
    trunk = sized("torchvision vgg11_bn", 32)
    network = Network(trunk, PyramidHead([level.channels for level in levels(trunk)], trunk.width, 3))
    network({"image": torch.randn(2, 3, 32, 32)}).square().mean().backward()
    for index in range(len(network.stage_names)):
        assert any(p.grad is not None and bool(p.grad.any()) for _, p in network.stage_parameters(index)), network.stage_names[index]


def test_a_trunk_without_maps_is_refused():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 8))
    trunk = Trunk.of(flat, stages=[("all", ["1"])], width=8, input=InputSpec(kind="image", size=(8, 8)))
    with pytest.raises(TrunkError, match="none of its stages gives a map"):
        levels(trunk)
    with pytest.raises(TrunkError, match="takes no images"):
        levels(trunk_of("bert"))


def test_the_hosts_are_there():
    assert {*CONVOLUTIONAL, *TRANSFORMERS} <= set(HOSTS)
