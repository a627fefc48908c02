"""One optimiser step: gradients of the whole effective batch, clipping, update. The loop, preflight and range test share it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from regraft.train.convolutions import product_gradients
from regraft.train.dropout import cheap_dropout
from regraft.train.feed import Feed, Part
from regraft.train.recompute import recomputing
from regraft.train.run import Run
from regraft.train.seeding import seed_of, seed_torch
from regraft.train.thinned import thinned


def gradients(run: Run, feed: Feed, parts: Sequence[Part], *, count: float) -> Tensor:
    """Leave the gradient of what is minimised, over ``count`` examples, in the parameters; returns its value, still on the device.

    Dropout draws from the seed of the step's place, whatever was drawn before.
    """
    run.terms.enter_batch(run, feed, parts, count=count)
    return run.terms.around(run, partial(_plain, run, feed, parts, count=count))


def _plain(run: Run, feed: Feed, parts: Sequence[Part], *, count: float) -> Tensor:
    seed_torch(seed_of(run.settings.seed, run.phase, run.step), run.device)
    if run.terms.tasks is not None:
        run.terms.tasks.start()
    total = torch.zeros((), device=run.device)
    with _stages(run):
        for part in parts:
            loss = run.terms.share(run, feed, part, count=count)
            run.precision.backward(loss)
            total += loss.detach()
    penalty = run.terms.penalty(run)
    if penalty is not None:
        run.precision.backward(penalty)
        total += penalty.detach()
    run.ranks.add_gradients(run.parameters)
    return total


@contextmanager
def _stages(run: Run) -> Iterator[None]:
    """How the stages that train are computed in this step."""
    with ExitStack() as stack:
        if run.device.type == "cpu":
            stack.enter_context(thinned(run.network))
        if run.compiled:
            stack.enter_context(run.compiled.standing())
        else:
            stack.enter_context(cheap_dropout(run.network, run.device))
            stack.enter_context(product_gradients(run.network, run.device))
        if run.recomputes:
            stack.enter_context(recomputing(run.network, run.present.boundary))
        yield


def clip(run: Run) -> Tensor | None:
    """Bring the gradient's norm down to the plan's limit. Returns the norm before, ``None`` where there is no limit, or where
    an infinite one is not a fault: the fp16 scaler finds its scale by trying, and leaves such a step out itself."""
    if not run.settings.clip or run.optimizer is None:
        return None
    run.precision.unscale(run.optimizer)
    norm = nn.utils.clip_grad_norm_(run.parameters, run.settings.clip)
    return None if run.precision.scaler else norm


def update(run: Run, lr: float) -> None:
    """Move the parameters at rate ``lr`` times the scale of their cell, and forget the gradients."""
    assert run.optimizer is not None
    for group in run.optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]
    run.precision.update(run.optimizer)
    run.optimizer.zero_grad(set_to_none=True)
    if run.rows:
        run.rows.write()
    if run.ema is not None:
        run.ema.update()
    run.terms.after_step(run)
