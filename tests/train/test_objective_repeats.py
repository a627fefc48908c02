"""Objectives that take a part through the network twice, where the first stage above the boundary writes over what it is given."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from train_hosts import TEXT, phase, plan, texts, weights

from regraft.cache import Cache
from regraft.plan.objective import parse
from regraft.spec import InputSpec
from regraft.surgery.heads import LinearHead
from regraft.train.fit import fit
from regraft.trunk.network import Network
from regraft.trunk.trunk import Trunk


class InPlace(nn.Module):
    """The upper stage begins by adding to its input where that stands."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(61, 16)
        self.top = Adding()

    def forward(self, ids: Tensor) -> Tensor:
        return self.top(self.embedding(ids))


class Adding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.add_(1.0))


def network() -> Network:
    torch.manual_seed(0)
    trunk = Trunk.of(InPlace(), stages=[("stem", ["embedding"]), "top"], width=16, pooling="mean", input=InputSpec(kind="text"),
                     run=lambda host, inputs: host(inputs["input_ids"]))  # fmt: skip
    return Network(trunk, LinearHead(16, 3, "mean", 0.0))


@pytest.mark.parametrize("text", ["r_drop", "sam(rho=0.2)"])
def test_the_second_forward_finds_what_the_first_one_found(tmp_path, text):
    ends = []
    for cache in (None, Cache(tmp_path / "cache", 1 << 26)):
        made = network()
        chosen = replace(plan(made, [phase("top", [False, True, True])], epochs=3.0), objectives=parse(text))
        history = fit(made, chosen, TEXT, {"train": texts(24), "valid": None}, folder=tmp_path / str(len(ends)), cache=cache)
        ends.append(weights(made))
    assert history.phases[0].cached
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-5)
