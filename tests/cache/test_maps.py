"""A head that reads several maps: what passes the boundary beside it is kept too, at every boundary and bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from regraft.cache import Cache
from regraft.cache.boundary import Boundary
from regraft.cache.key import key
from regraft.cache.layout import layout_of
from regraft.spec import InputSpec
from regraft.surgery.decoder import PyramidHead
from regraft.surgery.heads import LinearHead
from regraft.testing.examples import images
from regraft.testing.hosts import trunk_of
from regraft.trunk.network import Network
from regraft.trunk.pyramid import levels

NAMES = ("timm resnet10t", "torchvision mobilenet_v2", "torchvision vit")


def network_of(name: str) -> Network:
    torch.manual_seed(0)
    trunk = trunk_of(name)
    trunk.input = InputSpec(kind="image", size=(32, 32))
    return Network(trunk, PyramidHead([level.channels for level in levels(trunk)], trunk.width, 3)).eval()


@pytest.mark.parametrize("name", NAMES)
def test_cached_answers_and_gradients_equal_live_ones_at_every_boundary(name):
    network = network_of(name)
    inputs = {"image": torch.randn(3, 3, 32, 32)}
    for index in range(1, len(network.trunk.stages) + 1):
        boundary = Boundary(network, index)
        assert boundary.probe(inputs) == 0.0, boundary.name
        for at in range(len(network.trunk.stages)):
            for _, parameter in network.stage_parameters(at):
                parameter.requires_grad_(at >= index)
        made = []
        for logits in (network(inputs), boundary.resume(boundary.capture(inputs), inputs)):
            network.zero_grad()
            logits.square().mean().backward()
            made.append({n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None})
        assert made[0].keys() == made[1].keys() and all(torch.equal(made[0][n], made[1][n]) for n in made[0]), boundary.name


def test_every_map_from_below_is_an_entry_once():
    network = network_of("timm resnet10t")
    inputs = {"image": torch.randn(2, 3, 32, 32)}
    counts = [len(Boundary(network, index).entrance(inputs).entries) for index in range(1, 6)]
    assert counts == [1, 1, 2, 3, 4], (
        "below blocks.1 its input is the only map; below the head all three (the last is one place) and the features"
    )


def test_entries_go_through_the_store(tmp_path):
    network = network_of("timm resnet10t")
    inputs = {"image": torch.randn(5, 3, 32, 32)}
    boundary = Boundary(network, 4)
    cache = Cache(tmp_path, 1 << 30)
    layout = layout_of(boundary, inputs)
    assert len(layout.tensors) == 3
    batches = [(np.array([0, 2, 4]), {"image": inputs["image"][[0, 2, 4]]}), (np.array([1, 3]), {"image": inputs["image"][[1, 3]]})]
    entries = cache.fill("k" * 64, iter(batches), boundary.capture, layout=layout, num_rows=5)
    with torch.no_grad():
        cached = boundary.resume(entries.batch(np.array([3, 0])), {})
        live = network({"image": inputs["image"][[3, 0]]})
    assert torch.allclose(cached, live, atol=1e-5)


def test_a_head_that_reads_maps_has_entries_of_its_own():
    network, encoded = network_of("timm resnet10t"), images(4, size=32)
    maps = key(network, 3, encoded)
    network.head = LinearHead(network.trunk.width, 3)
    assert key(network, 3, encoded) != maps
