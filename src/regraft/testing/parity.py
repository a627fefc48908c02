"""Law 11: training equals a plain PyTorch loop on the same batches, bit for bit on a CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from regraft.data.batching import training_batches
from regraft.data.encode import Encoded, prepare
from regraft.plan.phase import Phase
from regraft.plan.plan import Plan
from regraft.surgery.edits import apply
from regraft.testing.law import law
from regraft.testing.training_laws import trained
from regraft.train.seeding import seed_of
from regraft.trunk.network import Network


def check_parity(make: Callable[[], Network], plan: Plan, train: Encoded) -> bool:
    """Law 11 for a plan in fp32 without dropout. ``False``: not looked at, as one of its phases is solved and has no loop."""
    if any(phase.solver != "gradient" for phase in plan.phases):
        return False
    ours, theirs = make(), make()
    start = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    trained(ours, plan, train)
    plain_loop(theirs, plan, train)
    found, expected = ours.state_dict(), theirs.state_dict()
    law(list(found) == list(expected), f"{plan.strategy}: the plain loop ends with other tensors")
    differing = [name for name in found if not torch.equal(found[name], expected[name])]
    law(not differing, f"{plan.strategy}: {', '.join(differing[:3])} ({len(differing)} in all) differs from the plain loop's")
    moved = any(name not in start or not torch.equal(found[name], start[name]) for name in found)
    law(moved, f"{plan.strategy}: nothing moved")
    return True


def plain_loop(network: Network, plan: Plan, train: Encoded) -> None:
    """What anybody would write who wants ``plan``: freeze, choose the parameters, step through the batches. A linear schedule."""
    settings, epoch = plan.settings, 0
    optimizer: torch.optim.Optimizer | None = None
    brought: dict[int, set[str]] = {}
    if network.trunk.input.kind == "image":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for phase in plan.phases:
        network.train(all(cell.trainable for cell in phase.cells[:-1]))
        _place(network, phase, plan, brought)
        groups = list(_groups(network, phase, plan, brought))
        held: dict[Any, Any] = optimizer.state if optimizer is not None else {}
        optimizer = _optimizer(plan, groups)
        for parameter in (group["params"][0] for group in groups):
            if parameter in held:
                optimizer.state[parameter] = held[parameter]
        batches: list[Any] = []
        while len(batches) < _steps(plan, phase, train):
            batches += training_batches(len(train), settings.batch_size, seed=settings.seed, epoch=epoch, lengths=train.lengths)
            epoch += 1
        batches = batches[: _steps(plan, phase, train)]
        warmup = round(settings.warmup_fraction * len(batches))
        for step, rows in enumerate(batches):
            rate = (step + 1) / (warmup + 1) if step < warmup else 1.0 - (step - warmup) / (len(batches) - warmup)
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * rate * group["scale"]
            logits = network(prepare(train.batch(rows), network.trunk.input))
            nn.functional.cross_entropy(logits, torch.from_numpy(train.targets[rows])).backward()
            if settings.clip:
                nn.utils.clip_grad_norm_([group["params"][0] for group in groups], settings.clip)
            optimizer.step()
            optimizer.zero_grad()


def _steps(plan: Plan, phase: Phase, train: Encoded) -> int:
    per_epoch = math.ceil(len(train) / plan.settings.batch_size)
    return max(1, round(plan.settings.epochs * phase.epochs_fraction * per_epoch))


def _optimizer(plan: Plan, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    if plan.settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=plan.settings.lr, momentum=plan.settings.momentum, fused=True)
    return torch.optim.AdamW(groups, lr=plan.settings.lr, fused=True)


def _groups(network: Network, phase: Phase, plan: Plan, brought: dict[int, set[str]]) -> Iterator[dict[str, Any]]:
    """Modes set, one group for each parameter that moves, everything else frozen."""
    network.requires_grad_(False)
    for index, cell in enumerate(phase.cells):
        for part in network.stage_modules(index):
            part.train(cell.trainable)
        for name, parameter in network.stage_parameters(index) if cell.trainable else ():
            owner, last = network.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
            is_norm = "norm" in type(owner).__name__.lower()
            chosen = {"all": True, "bias": last.endswith("bias"), "norm": is_norm, "edit": name in brought.get(index, ())}[cell.only]
            if chosen:
                parameter.requires_grad_(True)
                decays = not is_norm and parameter.ndim > 1 and not last.endswith("bias")
                yield {"params": [parameter], "scale": cell.lr_scale, "weight_decay": plan.settings.weight_decay if decays else 0.0}
        for module in (
            m for part in network.stage_modules(index) for m in part.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
        ):
            module.train(plan.settings.batch_norm == "train" and any(p.requires_grad for p in module.parameters(recurse=False)))


def _place(network: Network, phase: Phase, plan: Plan, brought: dict[int, set[str]]) -> None:
    """The phase's edits, where they do not stand yet; ``brought``: stage -> names of the parameters of its edit."""
    for index, cell in enumerate(phase.cells):
        if cell.edit is not None and index not in brought:
            torch.manual_seed(seed_of(plan.settings.seed, "edit", phase.name, index))
            brought[index] = set(apply(network, index, cell.edit).parameters)
