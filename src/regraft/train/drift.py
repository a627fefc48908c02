"""How far each stage went from where it started: ||theta - theta0|| / ||theta0||, the start being kept on disk, not in memory."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from regraft.plan.plan import Plan
from regraft.trunk.network import Network

START = "start.pt"


class Drift:
    """Made before the first phase. Parameters are followed by identity: edits and merges may give them other names."""

    def __init__(self, network: Network, plan: Plan, folder: Path) -> None:
        moving = {index for phase in plan.phases for index, cell in enumerate(phase.cells) if cell.trainable or cell.edit is not None}
        self.path = folder / START
        self.network = network
        self.names: dict[nn.Parameter, str] = {p: name for index in sorted(moving) for name, p in network.stage_parameters(index)}

    def save_start(self) -> None:
        part = self.path.with_suffix(".part")
        torch.save({name: parameter.detach() for parameter, name in self.names.items()}, part)
        part.replace(self.path)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Stage name -> relative distance, for every stage with parameters; 0.0 where nothing moved. What edits added is left out:
        it has no start to be far from."""
        start: dict[str, Tensor] = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        return {
            name: self._of([p for _, p in self.network.stage_parameters(index)], start)
            for index, name in enumerate(self.network.stage_names)
            if next(self.network.stage_parameters(index), None) is not None
        }

    def _of(self, parameters: list[nn.Parameter], start: dict[str, Tensor]) -> float:
        moved = size = 0.0
        for parameter in parameters:
            if parameter in self.names:
                before = start[self.names[parameter]]
                moved += _squared(parameter.detach().cpu() - before)
                size += _squared(before)
        return (moved / size) ** 0.5 if size else 0.0


def _squared(values: Tensor) -> float:
    """The sum of the squares, added up in fp64; nothing of that size is made."""
    return float(torch.linalg.vector_norm(values, dtype=torch.float64)) ** 2
