"""The toy: a residual MLP over tiny images with everything that training has to respect, and small enough to be trained in a second.
Knows no plans, so that a process that only serves can rebuild it.

image (B, 3, 8, 8) -> [stem: linear, batch norm] -> [blocks.i: batch norm, mlp, dropout, residual] -> [neck: layer norm] -> (B, 16)
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from regraft import tasks
from regraft.spec import InputSpec
from regraft.testing.examples import NUM_CLASSES
from regraft.trunk.families import StageLike
from regraft.trunk.network import Network
from regraft.trunk.trunk import Trunk

SIDE, WIDTH = 8, 16


class Block(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(WIDTH)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(WIDTH, 2 * WIDTH), "fc2": nn.Linear(2 * WIDTH, WIDTH)})
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.mlp["fc2"](torch.relu(self.mlp["fc1"](self.norm(x)))))


class ToyHost(nn.Module):
    def __init__(self, blocks: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, WIDTH), nn.BatchNorm1d(WIDTH))
        self.blocks = nn.Sequential(*(Block(dropout) for _ in range(blocks)))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, image: Tensor) -> Tensor:
        return cast(Tensor, self.norm(self.blocks(self.stem(image))))


def ToyTrunk(*, blocks: int = 3, dropout: float = 0.1) -> Trunk:
    """A trunk with random weights; ``module:regraft.testing.toy.ToyTrunk`` names it where a reference is wanted."""
    stages: list[StageLike] = ["stem", *(f"blocks.{index}" for index in range(blocks)), ("neck", ["norm"])]
    source = {"library": "module", "function": "regraft.testing.toy.ToyTrunk", "arguments": {"blocks": blocks, "dropout": dropout}}
    return Trunk.of(
        ToyHost(blocks, dropout),
        stages=stages,
        width=WIDTH,
        input=InputSpec(kind="image", size=(SIDE, SIDE)),
        run=lambda host, inputs: host(inputs["image"]),
        reference="module:regraft.testing.toy.ToyTrunk",
        source=source,
    )


def toy_network(*, seed: int = 0, dropout: float = 0.1, blocks: int = 3) -> Network:
    """The toy with a fresh head for three classes; the same numbers for the same ``seed``."""
    torch.manual_seed(seed)
    return with_head(ToyTrunk(blocks=blocks, dropout=dropout), dropout=dropout)


def with_head(trunk: Trunk, *, dropout: float = 0.0) -> Network:
    """``trunk`` with a fresh linear head for the three classes of the toy splits, from torch's generator."""
    return Network(trunk, tasks.of(task_for(trunk)).head(trunk, NUM_CLASSES, dropout))


def task_for(trunk: Trunk) -> str:
    return "image-classification" if trunk.input.kind == "image" else "text-classification"
