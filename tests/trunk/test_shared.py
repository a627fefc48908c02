"""One copy of what two networks hold alike."""

from __future__ import annotations

import torch
from torch import nn

from regraft.trunk import families
from regraft.trunk.network import Network
from regraft.trunk.shared import share


def network(seed: int) -> Network:
    torch.manual_seed(seed)
    stages = [nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)]
    host = nn.Sequential(*stages)
    trunk = families.view(host, stages=[("low", ["0"]), ("middle", ["1"]), ("high", ["2"])], width=4)
    return Network(trunk, nn.Identity())


def test_equal_stages_that_are_named_are_held_once_and_no_others() -> None:
    one, other = network(0), network(0)
    share(one, other.trunk, [0, 2])
    held = [own.weight.data_ptr() == theirs.weight.data_ptr() for own, theirs in zip(one.host, other.host, strict=True)]
    assert held == [True, False, True]
    assert all(parameter.requires_grad for parameter in one.parameters())


def test_what_differs_stays_as_it_is() -> None:
    one, other = network(0), network(1)
    before = one.host[0].weight.clone()
    share(one, other.trunk, [0])
    assert torch.equal(one.host[0].weight, before) and one.host[0].weight.data_ptr() != other.host[0].weight.data_ptr()
