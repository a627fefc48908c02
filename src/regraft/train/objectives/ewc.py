"""``ewc(examples=DATA, strength=100)``: hold each weight near its start as much as the old examples need it (Kirkpatrick et al. 2016, 1612.00796).

    strength / 2 * sum of F_i (w_i - w0_i)^2,  F_i: the mean over examples of the squared gradient of log p(label)

F is the diagonal of the Fisher information at the start, estimated on ``count`` examples, one by one, in eval mode. ``labels``: "model" draws each
label from the network's own answer, which is what Fisher information means; "data" takes the true one. It says something where the head is
that of a parent who knew the examples; what a fresh head needs is noise. The head is free unless ``anchor_head=True``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from regraft.data.encode import Encoded, prepare
from regraft.train.objective import Ask, Declared, Start, Term, objective, require
from regraft.train.objectives.class_counts import one_label
from regraft.train.run import Run
from regraft.train.seeding import seed_of
from regraft.trunk.network import Network

Labels = Literal["model", "data"]
ONE_BY_ONE = 3
"""Forwards that an example's gradient takes."""


@objective
def ewc(
    *, examples: str = "train", strength: float = 100.0, count: int = 200, labels: Labels = "model", anchor_head: bool = False
) -> Declared:
    require(strength >= 0, f"ewc(strength={strength:g})", "a strength is not negative")
    require(count >= 1, f"ewc(count={count})", "it takes at least one example")
    ask = Ask("examples", examples)
    begin = lambda start: _term(start, ask, strength, count, labels, anchor_head=anchor_head)  # noqa: E731
    return Declared(begin, asks=(ask,), ahead=lambda num_train: ONE_BY_ONE * count)


def _term(start: Start, ask: Ask, strength: float, count: int, labels: Labels, *, anchor_head: bool) -> Term:
    if labels == "model":
        one_label(start, "ewc(labels=model)")
    last = len(start.plan.stages) - 1
    held = [p for p, row in start.moving().items() if row != last or anchor_head]
    anchors = {p: p.detach().clone() for p in held}
    fisher = _fisher(start, start.brought(ask), held, count, labels)

    def penalty(run: Run) -> Tensor:
        total = torch.zeros((), device=run.device)
        for parameter in run.parameters:
            if parameter in anchors:
                total = total + strength / 2 * (fisher[parameter] * (parameter - anchors[parameter]).square()).sum()
        return total

    return Term(penalty=penalty)


def _fisher(start: Start, split: Encoded, held: list[nn.Parameter], count: int, labels: Labels) -> Mapping[nn.Parameter, Tensor]:
    seed = seed_of(start.plan.settings.seed, "fisher")
    rows = np.random.default_rng(seed).permutation(len(split))[:count]
    draws = torch.Generator().manual_seed(seed)
    with _observed(start.network, held):
        return fisher_of(start, split, rows, held, draws=draws if labels == "model" else None)


def fisher_of(
    start: Start, split: Encoded, rows: np.ndarray, held: list[nn.Parameter], *, draws: torch.Generator | None
) -> Mapping[nn.Parameter, Tensor]:
    """Parameter -> mean over ``rows`` of the squared gradient of log p(label). ``draws``: where labels come from the model, what draws them."""
    total = {p: torch.zeros_like(p) for p in held}
    for row in rows:
        logits = start.network(prepare(split.batch(np.array([row])), start.network.trunk.input, device=start.device)).float()
        if draws is not None:
            label = torch.multinomial(logits.detach().softmax(1).cpu(), 1, generator=draws)[:, 0].to(start.device)
        else:
            label = split.target_batch(np.array([row])).to(start.device)
        found = torch.autograd.grad(start.task.losses(logits, label, label_smoothing=0.0).sum(), held, allow_unused=True)
        for parameter, gradient in zip(held, found, strict=True):
            if gradient is not None:
                total[parameter] += gradient.square()
    return {p: summed / len(rows) for p, summed in total.items()}


@contextmanager
def _observed(network: Network, held: list[nn.Parameter]) -> Iterator[None]:
    """In eval mode, with a gradient for ``held``; afterwards as it was."""
    modes, flags = [(m, m.training) for m in network.modules()], [(p, p.requires_grad) for p in network.parameters()]
    network.eval()
    for parameter in held:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
