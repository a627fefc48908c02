"""The stages that train, compiled by ``torch.compile`` (Ansel et al. 2024, PyTorch 2): what stands between their products becomes one pass over memory.

    [stem]    [blocks.0] ... [blocks.n]    head          as ever: tables of vectors, recurrent layers, modules with hooks inside, the head
                 ^ a compiled forward in the stead of its own, for a step and no longer

One block is compiled at a time, so that alike blocks share their code, and everything around them is untouched: the host's own forward, the values that enter
at a cached boundary, taps on what leaves a stage. Answers are never computed so. Code is made for the first rows of a phase, whatever step a run goes on from:
resumed, it computes the same bits.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from regraft.cache.forwards import Forward, call_points, standing_in
from regraft.cache.placeholder import Placeholder
from regraft.cache.structure import map_call
from regraft.errors import PlanError
from regraft.trunk.network import Network

if TYPE_CHECKING:
    from regraft.train.course import Course
    from regraft.train.feed import Feed
    from regraft.train.run import Run

OFF = "--set compile=false"
LEFT_OUT = (nn.Embedding, nn.RNNBase)
COMPILERS = ("g++", "clang++", "c++", "clang", "gcc", "cl")


class Compiled:
    """Compiled forwards for the trunk's stages from ``boundary`` up. ``size``: of images, the rows that a batch must have to be computed so (code for any number of them is
    slower, and the last batch of an epoch is not worth its own); 0: any, and any length."""

    def __init__(self, network: Network, boundary: int, *, size: int) -> None:
        self.network, self.size = network, size
        above = range(boundary, len(network.trunk.stages))
        points = call_points([part for index in above for part in network.stage_modules(index)])
        torch._dynamo.reset()  # what was compiled before, for other shapes, must not decide how this is
        self.forwards: dict[nn.Module, Any] = {
            module: torch.compile(module.forward, dynamic=not size) for module in points if _is_worth_it(module)
        }

    @contextmanager
    def standing(self) -> Iterator[None]:
        """For one forward and backward pass. Raises ``PlanError`` where the compiler fails."""
        from torch._dynamo.exc import TorchDynamoException

        try:
            with standing_in(self.network, dict.fromkeys(self.forwards, self._run)):
                yield
        except TorchDynamoException as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise PlanError("compile=true", f"the compiler gave up: {reason}", OFF) from error

    def _run(self, module: nn.Module, own: Forward, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        args, kwargs = map_call(args, kwargs, _real)
        first = next((one for one in (*args, *kwargs.values()) if isinstance(one, Tensor)), None)
        if first is None or not torch.is_grad_enabled() or not self._fits(first):
            return own(*args, **kwargs)
        return self.forwards[module](*args, **kwargs)

    def _fits(self, first: Tensor) -> bool:
        """A batch, or a length, of 1 would be compiled anew."""
        return first.shape[0] == self.size if self.size else min(first.shape[:2]) > 1


def compiled(run: Run, feed: Feed, course: Course) -> Compiled | None:
    """The compiled stages of the present phase, if the plan wants them; their code is made here. Raises ``PlanError`` where it cannot be."""
    if not run.settings.compile:
        return None
    if (reason := unfit(run)) is not None:
        raise PlanError("compile=true", reason, OFF)
    is_image = run.network.trunk.input.kind == "image"
    made = Compiled(run.network, run.present.boundary, size=run.micro_batch if is_image else 0)
    if not made.forwards:
        return None
    rows = course.rows(0)[: run.micro_batch]
    buffers = [buffer.clone() for buffer in run.buffers]
    (part, *_) = feed.parts(rows, size=run.micro_batch, seed=0, epoch=0)
    with made.standing():
        run.precision.backward(run.terms.share(run, feed, part, count=float(len(rows))))
    for parameter in run.parameters:
        parameter.grad = None
    for buffer, held in zip(run.buffers, buffers, strict=True):
        buffer.copy_(held)
    return made


def unfit(run: Run) -> str | None:
    """Why the run cannot be compiled, if so."""
    if run.terms.reach_for_parameters or run.terms.repeats or run.task.each:
        return "an objective of this run takes gradients, or the step, apart"
    return missing_compiler(run.device.type)


def missing_compiler(device: str) -> str | None:
    """What ``torch.compile`` lacks on this machine, if anything: a C++ compiler on processors, Triton on CUDA devices."""
    if device == "cuda":
        from importlib.util import find_spec

        return None if find_spec("triton") else "Triton is not installed, with which PyTorch compiles for CUDA devices"
    named = os.environ.get("CXX")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, COMPILERS)), None)
    return None if found else f"no C++ compiler is here (looked for {named or ', '.join(COMPILERS)})"


def _is_worth_it(module: nn.Module) -> bool:
    parts = list(module.modules())
    hooked = any(part._forward_hooks or part._forward_pre_hooks for part in parts[1:])
    return not hooked and not any(isinstance(part, LEFT_OUT) for part in parts) and any(True for _ in module.parameters())


def _real(leaf: Any, path: str) -> Any:
    """A placeholder that stands for a value by now, as that value."""
    return leaf.value if isinstance(leaf, Placeholder) and leaf.value is not None else leaf
