"""What to do when a step cannot be taken: numbers that are no longer finite, and memory that does not suffice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regraft.errors import OutOfMemory, TrainingDiverged
from regraft.train.checkpoint import GOOD, Checkpoints
from regraft.train.feed import Feed, Part
from regraft.train.run import Run

MOST_RECOVERIES = 3
RATE_CUT = 0.25
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error).lower() for sign in OUT_OF_MEMORY)


def out_of_memory(run: Run, error: RuntimeError) -> OutOfMemory:
    at_once = f"{run.micro_batch} example{'s' if run.micro_batch > 1 else ''} at once"
    return OutOfMemory(
        f"train phase {run.present.name!r}",
        f"not enough memory for {at_once} ({str(error).splitlines()[0][:120]})",
        "a smaller --batch-size, shorter inputs (--set max_length=...), or fewer trainable stages",
    )


@torch.no_grad()
def shrink(run: Run, error: RuntimeError, *, buffers: Sequence[Tensor]) -> None:
    """Half as many examples at once, and where one is too many already, gradient checkpointing; the effective batch stays what it was. The step can
    be taken again from its start: ``buffers`` are the run's as they were then."""
    if run.ranks.count > 1 or (run.micro_batch == 1 and run.recomputes):
        raise out_of_memory(run, error) from error
    run.recomputes = run.recomputes or run.micro_batch == 1
    run.micro_batch = -(-run.micro_batch // 2)
    for parameter in run.parameters:
        parameter.grad = None
    for buffer, before in zip(run.buffers, buffers, strict=True):
        buffer.copy_(before)
    if run.device.type == "cuda":
        torch.cuda.empty_cache()
    note = f"out of memory at step {run.step + 1} of phase {run.present.name!r}: {run.micro_batch} examples at once{' and gradient checkpointing' * run.recomputes} from here on"
    run.history.events.append(note)


def recover(run: Run, checkpoints: Checkpoints, *, feed: Feed, parts: Sequence[Part]) -> None:
    """Back to the last good state with a quarter of the rate, at most three times; then ``TrainingDiverged``."""
    where = f"step {run.step + 1} of phase {run.present.name!r}, {diagnose(run, feed, parts)}"
    rate = run.settings.lr * run.present.lr_scale * run.lr_factor
    if run.recoveries == MOST_RECOVERIES:
        raise TrainingDiverged(
            f"train at a peak rate of {run.settings.lr:g}",
            f"the loss is not finite at {where}, after {MOST_RECOVERIES} returns to a good state with a lower rate (the last one {rate:.2g})",
            f"--lr {rate * RATE_CUT:.1g} or --lr find; look at the data of that step; --set precision=fp32",
        )
    recoveries, lr_factor = run.recoveries + 1, run.lr_factor * RATE_CUT
    run.load(checkpoints.load(GOOD))
    run.recoveries, run.lr_factor = recoveries, lr_factor
    for parameter in run.parameters:
        parameter.grad = None
    run.history.events.append(f"not finite at {where}: back to step {run.step} with {lr_factor:g} of the rate")


def diagnose(run: Run, feed: Feed, parts: Sequence[Part]) -> str:
    """Where the numbers break, from the door up: the first stage with weights, then with outputs, that are not finite."""
    names = run.network.stage_names
    for index, name in enumerate(names):
        for parameter_name, parameter in run.network.stage_parameters(index):
            if not torch.isfinite(parameter).all():
                return f"in stage {name!r}: its weight {parameter_name} is not finite"
    broken: list[str] = []

    def watch(name: str) -> None:
        def look(module: nn.Module, args: object, output: object) -> None:
            if any(not torch.isfinite(tensor).all() for tensor in _floats(output)):
                broken.append(name)

        handles.extend(part.register_forward_hook(look) for part in run.network.stage_modules(names.index(name)))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name in names:
        watch(name)
    try:
        with torch.no_grad(), run.precision.autocast():
            for part in parts:
                feed.logits(part)
    finally:
        for handle in handles:
            handle.remove()
    return f"in stage {broken[0]!r}: its output is not finite" if broken else "in the loss or its gradient: every stage's output is finite"


def _floats(output: object) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, dict):
        return [tensor for value in output.values() for tensor in _floats(value)]
    return [tensor for value in output for tensor in _floats(value)] if isinstance(output, (tuple, list)) else []
