"""From one phase to the next: edits placed, parameters frozen or freed, modes set, the optimiser's memory carried over.

Modes: a frozen stage is in eval mode as a whole, so that neither dropout nor batch-norm statistics move. What stands
in no stage (the host's own outer modules) trains only where the whole trunk trains, which keeps the frozen part
deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from regraft.plan.cell import Cell
from regraft.plan.phase import Phase
from regraft.plan.settings import Settings
from regraft.surgery import edits
from regraft.train.groups import Moving, moving
from regraft.train.seeding import seed_of
from regraft.trunk.network import Network
from regraft.trunk.tensors import tensor_digest


@dataclass(eq=False)
class Standing:
    """What stands in the network beyond the model as it came.

    ``records``: row of the grid -> the edit there, in the order of application. ``edited``: parameters that edits added.
    ``moved``: parameters whose values may differ from those at the start. ``touched``: rows whose buffers may.
    """

    records: dict[int, Any] = field(default_factory=dict)
    placed: dict[int, Any] = field(default_factory=dict)
    edited: set[nn.Parameter] = field(default_factory=set)
    moved: set[nn.Parameter] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)


def enter(network: Network, phase: Phase, standing: Standing, settings: Settings) -> list[Moving]:
    """Make the network what ``phase`` wants, and return what moves in it."""
    place_edits(network, phase, standing, settings.seed)
    chosen = moving(network, phase.cells, edited=standing.edited)
    network.requires_grad_(False)
    for one in chosen:
        one.parameter.requires_grad_(True)
    set_modes(network, phase.cells, settings.batch_norm)
    standing.moved.update(one.parameter for one in chosen)
    standing.touched.update(index for index, cell in enumerate(phase.cells) if cell.trainable)
    return chosen


def place_edits(network: Network, phase: Phase, standing: Standing, seed: int) -> None:
    """Let exactly the phase's edits stand. One that a later phase no longer names is merged into the weights, so that
    nothing learned is lost; surgery refuses where an edit cannot be merged."""
    for index, cell in enumerate(phase.cells):
        if standing.placed.get(index) == cell.edit:
            continue
        before = {p: tensor_digest(p) for _, p in network.stage_parameters(index)}
        if index in standing.records:
            edits.merge(network, standing.records.pop(index))
            standing.placed.pop(index)
        if cell.edit is not None:
            torch.manual_seed(seed_of(seed, "edit", phase.name, index))
            standing.records[index] = edits.apply(network, index, cell.edit)
            standing.placed[index] = cell.edit
        now = [p for _, p in network.stage_parameters(index)]
        standing.edited.difference_update(set(before) - set(now))
        standing.edited.update(p for p in now if p not in before)
        standing.moved.update(p for p in now if p in before and tensor_digest(p) != before[p])


def remove_edits(network: Network, standing: Standing) -> None:
    """Undo every edit, the last one first."""
    for index in reversed(list(standing.records)):
        edits.undo(network, standing.records.pop(index))
    standing.placed.clear()
    standing.edited.clear()


def set_modes(network: Network, cells: Sequence[Cell], batch_norm: str) -> None:
    """Train mode for trainable stages, eval mode for frozen ones.

    Batch-norm statistics follow the data only where ``batch_norm`` is "train" and the layer's own weights train too (or
    it has none and its stage trains in full): under an edit, or with only biases moving, they stay as they came.
    """
    network.train(all(cell.trainable for cell in cells[:-1]))
    for index, cell in enumerate(cells):
        for part in network.stage_modules(index):
            part.train(cell.trainable)
            for module in part.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.train(cell.trainable and batch_norm == "train" and _norm_trains(module, cell))


def _norm_trains(module: nn.Module, cell: Cell) -> bool:
    own = list(module.parameters(recurse=False))
    return any(p.requires_grad for p in own) if own else cell.only == "all"


def carry(old: torch.optim.Optimizer | None, new: torch.optim.Optimizer) -> None:
    """Law 12: what was training goes on with its moments and its count of steps; what is new starts without."""
    for group in new.param_groups if old is not None else ():
        for parameter in group["params"]:
            if old is not None and parameter in old.state:
                new.state[parameter] = old.state[parameter]
