"""``sam(rho=0.05)``: the gradient is taken where the loss is highest nearby (sharpness-aware minimisation; Foret et al. 2020, 2010.01412).

    gradient g at w;  then the gradient at w + rho * g / ||g||, which moves w

A step takes two forwards and backwards, on the same batch under the same dropout; batch-norm statistics are those of the first.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from regraft.train.objective import Declared, Term, objective, require
from regraft.train.run import Run


@objective
def sam(*, rho: float = 0.05) -> Declared:
    require(rho > 0, f"sam(rho={rho:g})", "rho is above 0")
    return Declared(lambda start: Term(around=lambda run, gradients: _sharp(run, gradients, rho)), passes=2)


def _sharp(run: Run, gradients: Callable[[], Tensor], rho: float) -> Tensor:
    loss = gradients()
    held = [(p, p.detach().clone(memory_format=torch.preserve_format)) for p in run.parameters]
    buffers = [(buffer, buffer.clone()) for buffer in run.buffers]
    try:
        _climb(run, rho)
        gradients()
    finally:
        with torch.no_grad():
            for tensor, before in (*held, *buffers):
                tensor.copy_(before)
    return loss


@torch.no_grad()
def _climb(run: Run, rho: float) -> None:
    """Move the parameters by ``rho`` up the gradient, of whatever size that is, and forget it."""
    moving = [p for p in run.parameters if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(p.grad) for p in moving]))
    for parameter in moving:
        assert parameter.grad is not None
        parameter.add_(parameter.grad * (rho / (norm + 1e-12)))
        parameter.grad = None
