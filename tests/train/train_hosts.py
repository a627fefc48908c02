"""Small real networks and splits for the tests of training: seconds on one core, and everything that training has to respect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from regraft import tasks
from regraft.data.encoded import Encoded
from regraft.plan.cell import FROZEN, TRAIN, Cell
from regraft.plan.phase import Phase
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.spec import InputSpec
from regraft.surgery.heads import LinearHead
from regraft.trunk.network import Network
from regraft.trunk.trunk import Trunk

TEXT, IMAGE = tasks.of("text-classification"), tasks.of("image-classification")
NUM_CLASSES = 3


class Arrays(Encoded):
    """A split over arrays: ``ids`` (n, L) padded with 0, or ``images`` (n, 3, H, W) uint8."""

    def __init__(self, name: str, array: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None) -> None:
        super().__init__(targets, [f"{i}" for i in range(len(targets))], "arrays", lengths=lengths)
        self.name, self.array = name, array

    def batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> dict[str, Tensor]:
        chosen = torch.from_numpy(self.array[np.asarray(rows)])
        if self.lengths is None:
            return {self.name: chosen}
        lengths = torch.from_numpy(self.lengths[np.asarray(rows)])
        longest = max(width, int(lengths.max()))
        mask = (torch.arange(longest)[None, :] < lengths[:, None]).long()
        return {self.name: chosen[:, :longest], "attention_mask": mask}

    def wait(self) -> None: ...


def texts(n: int, *, seed: int = 0) -> Arrays:
    """Sentences of 4 to 12 tokens out of 60; the class is which third of the vocabulary most tokens come from."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(NUM_CLASSES, size=n)
    lengths = rng.integers(4, 13, size=n).astype(np.int32)
    ids = rng.integers(1, 20, size=(n, 12)) + 20 * np.where(
        rng.random((n, 12)) < 0.7, targets[:, None], rng.integers(NUM_CLASSES, size=(n, 12))
    )
    ids[np.arange(12)[None, :] >= lengths[:, None]] = 0
    return Arrays("input_ids", ids.astype(np.int64), targets, lengths)


def images(n: int, *, seed: int = 0) -> Arrays:
    """8 x 8 pixels; the class is the brightest channel."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(NUM_CLASSES, size=n)
    pixels = rng.integers(0, 160, size=(n, 3, 8, 8))
    pixels[np.arange(n), targets] += 60
    return Arrays("image", pixels.astype(np.uint8), targets)


class Block(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 2 * width), "fc2": nn.Linear(2 * width, width)})
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.mlp["fc2"](torch.relu(self.mlp["fc1"](self.norm(x)))))


class TextHost(nn.Module):
    """Embedding, then residual blocks with dropout: (B, L) -> (B, L, width)."""

    def __init__(self, width: int = 16, blocks: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(61, width)
        self.blocks = nn.ModuleList(Block(width, dropout) for _ in range(blocks))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x)
        return x


class ImageHost(nn.Module):
    """Convolutions with batch-norm: (B, 3, 8, 8) -> (B, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.stem(x)).mean((2, 3))


def text_network(*, seed: int = 0, dropout: float = 0.1, blocks: int = 3) -> Network:
    torch.manual_seed(seed)
    host = TextHost(dropout=dropout, blocks=blocks)
    stages = [("stem", ["embedding"]), *((f"blocks.{i}", [f"blocks.{i}"]) for i in range(blocks))]
    trunk = Trunk.of(
        host, stages=stages, width=16, pooling="mean", input=InputSpec(kind="text"), run=lambda host, inputs: host(inputs["input_ids"])
    )
    return Network(trunk, LinearHead(16, NUM_CLASSES, "mean", dropout))


def block_outputs(network: Network, inputs: dict[str, Tensor]) -> dict[int, Tensor]:
    """Row of the grid -> what leaves that block of a ``text_network``."""
    host = network.host
    x, outputs = host.embedding(inputs["input_ids"]), {}
    for row, block in enumerate(host.blocks, 1):
        outputs[row] = x = block(x)
    return outputs


def image_network(*, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    trunk = Trunk.of(
        ImageHost(),
        stages=["stem", "body"],
        width=8,
        input=InputSpec(kind="image", size=(8, 8)),
        run=lambda host, inputs: host(inputs["image"]),
    )
    return Network(trunk, LinearHead(8, NUM_CLASSES, "none", 0.0))


def phase(name: str, cells: Sequence[Cell | bool], **facts: object) -> Phase:
    """``True`` trains, ``False`` is frozen."""
    row = tuple(TRAIN if cell is True else FROZEN if cell is False else cell for cell in cells)
    return Phase(name=name, cells=row, **facts)


def plan(network: Network, phases: Sequence[Phase], **settings: object) -> Plan:
    task = "text-classification" if network.trunk.input.kind == "text" else "image-classification"
    chosen = Settings(**{"lr": 1e-2, "batch_size": 8, "epochs": 2.0, "precision": "fp32"} | settings)
    return Plan(task=task, model="toy", strategy="toy", stages=network.stage_names, phases=tuple(phases), settings=chosen)


def full(network: Network, **settings: object) -> Plan:
    return plan(network, [phase("all", [True] * len(network.stage_names))], **settings)


def weights(network: Network) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
