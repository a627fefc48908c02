"""Optimiser groups from the cells of a phase: which parameters move, at which rate, and which of them decay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from regraft.errors import PlanError, PreflightError
from regraft.plan.cell import Cell
from regraft.plan.settings import Settings
from regraft.trunk.network import Network


@dataclass(frozen=True, eq=False, slots=True)
class Moving:
    """A parameter that moves: its state-dict name, its row of the grid, its rate relative to the phase's, and whether it decays."""

    name: str
    parameter: nn.Parameter
    stage: int
    lr_scale: float
    decays: bool


def moving(network: Network, cells: Sequence[Cell], *, edited: Set[nn.Parameter] = frozenset()) -> list[Moving]:
    """What ``cells`` let move, from the door to the head; a tied parameter once. ``edited``: parameters that edits have added.

    Raises ``PlanError`` where nothing moves at all.
    """
    found: dict[int, Moving] = {}
    for index, cell in enumerate(cells):
        for name, parameter in network.stage_parameters(index) if cell.trainable else ():
            if _is_chosen(network, name, parameter, cell, edited):
                decays = not (is_bias(name) or is_flat(parameter) or is_norm(_owner(network, name)))
                found.setdefault(id(parameter), Moving(name, parameter, index, cell.lr_scale, decays))
    if not found:
        rows = ", ".join(f"{network.stage_names[i]}: only={cell.only}" for i, cell in enumerate(cells) if cell.trainable)
        raise PlanError("train a phase", f"no parameter moves in it ({rows or 'every cell is frozen'})", "let at least the head train")
    return list(found.values())


def own(parameters: Iterable[nn.Parameter], stage: int) -> list[Moving]:
    """Parameters that are no part of the network but of an objective; they count as those of a row ``stage`` above its own."""
    return [Moving(f"objective.{number}", one, stage, 1.0, not is_flat(one)) for number, one in enumerate(parameters)]


def groups(chosen: Iterable[Moving], weight_decay: float) -> list[dict[str, Any]]:
    """One optimiser group for each pair (rate, decays or not): few groups keep the fused update fast.

    Each group carries ``lr_scale`` and the ``names`` of its parameters beside them.
    """
    table: dict[tuple[float, bool], dict[str, Any]] = {}
    for one in chosen:
        blank = {"params": [], "names": [], "lr_scale": one.lr_scale, "weight_decay": weight_decay if one.decays else 0.0}
        group = table.setdefault((one.lr_scale, one.decays), blank)
        group["params"].append(one.parameter)
        group["names"].append(one.name)
    return list(table.values())


def check_partition(network: nn.Module, made: Iterable[dict[str, Any]]) -> None:
    """Law 6: the groups hold every trainable parameter exactly once, and nothing else."""
    held = [id(parameter) for group in made for parameter in group["params"]]
    trainable = {id(p): name for name, p in network.named_parameters() if p.requires_grad}
    missing = [name for key, name in trainable.items() if key not in set(held)]
    if missing or len(held) != len(trainable):
        raise PreflightError(
            "optimiser groups that partition the trainable parameters",
            f"{len(held)} entries for {len(trainable)} trainable parameters; in no group: {', '.join(missing[:3]) or 'none'}",
            "report this: stages and groups disagree about the model",
        )


def make_optimizer(settings: Settings, made: list[dict[str, Any]], device: torch.device) -> torch.optim.Optimizer:
    """AdamW (1711.05101) or SGD with momentum, in the fused form where this device has one. The loop sets the rates."""
    if settings.optimizer == "sgd":
        return torch.optim.SGD(made, lr=settings.lr, momentum=settings.momentum, fused=_has_fused(made, device))
    return torch.optim.AdamW(made, lr=settings.lr, fused=_has_fused(made, device))


def is_bias(name: str) -> bool:
    return name.rsplit(".", 1)[-1].endswith("bias")


def is_flat(parameter: nn.Parameter) -> bool:
    """One-dimensional in effect: scales, biases, a class token of shape (1, 1, width)."""
    return parameter.numel() == max(parameter.shape, default=1)


def is_norm(module: nn.Module) -> bool:
    """A normalisation layer, judged by its class name, which covers torch's, timm's and transformers' own."""
    return "norm" in type(module).__name__.lower()


def _has_fused(made: list[dict[str, Any]], device: torch.device) -> bool:
    return device.type in {"cpu", "cuda"} and all(p.is_floating_point() for group in made for p in group["params"])


def _owner(network: Network, name: str) -> nn.Module:
    return network.get_submodule(name.rpartition(".")[0])


def _is_chosen(network: Network, name: str, parameter: nn.Parameter, cell: Cell, edited: Set[nn.Parameter]) -> bool:
    if cell.only == "bias":
        return is_bias(name) and parameter not in edited
    if cell.only == "norm":
        return is_norm(_owner(network, name))
    return cell.only == "all" or parameter in edited
