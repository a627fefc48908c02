"""Counting a trunk: from the model to its outline, by one pass over a copy without weights."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from regraft.trunk.layers import is_convolutional, linear_layers
from regraft.trunk.outline import Outline, StageOutline
from regraft.trunk.trunk import Inputs, Trunk
from regraft.trunk.weightless import weightless

BATCH = 2  # a batch norm in training mode wants more than one value
TOKENS = 128
FP32_BYTES = 4
OFTEN = {
    torch.ops.aten.addmm.default,
    torch.ops.aten.native_layer_norm.default,
    torch.ops.aten._safe_softmax.default,
    torch.ops.aten.gelu.default,
}
"""Operations of every transformer whose shapes torch works out in Python, and slowly; each makes tensors of its own."""
COPIES: tuple[tuple[Callable[[nn.Module], nn.Module], str], ...] = ((weightless, "meta"), (copy.deepcopy, "cpu"))
"""Ways to copy a host, cheapest first, and the device that the copy is on."""


def measure(trunk: Trunk, probe_length: int = 0) -> Outline:
    """The outline of ``trunk``, counted on one example of ``probe_length`` tokens (audio: samples); 0: 128 tokens, one second.

    Multiply-adds, bytes entering a stage and bytes that a backward pass keeps are those of training in fp32. They stay 0 where
    the shape of the input is not known (``InputSpec(kind="tensor")`` without ``size``).
    """
    length = _length(trunk, probe_length)
    passed = _pass(trunk, length)
    layers = linear_layers(trunk.host, trunk.stages)
    stages = tuple(_outline(trunk, i, layers[i], passed) for i in range(len(trunk.stages)))
    return Outline(
        reference=trunk.reference,
        family=trunk.family,
        input=trunk.input,
        stages=stages,
        width=trunk.width,
        pooling=trunk.pooling,
        probe_length=length,
        pretraining_lr=trunk.pretraining_lr,
        own_head="none" if trunk.own_head is None else "tied" if trunk.ties_head else "untied",
    )


@dataclass
class _Passed:
    """Per stage, for the whole batch: floating-point operations, bytes that entered, bytes kept for the backward pass."""

    operations: list[int]
    entered: list[int]
    kept: list[int]

    @classmethod
    def blank(cls, stages: int) -> _Passed:
        return cls([0] * stages, [0] * stages, [0] * stages)


def _outline(trunk: Trunk, index: int, layers: tuple[tuple[str, int, int], ...], passed: _Passed) -> StageOutline:
    stage = trunk.stages[index]
    parameters = dict(stage.named_parameters(trunk.host))
    unique = {id(p): p for p in parameters.values()}
    norms = {id(p) for part in stage.parts(trunk.host) for m in part.modules() if is_norm(m) for p in m.parameters(recurse=False)}
    return StageOutline(
        name=stage.name,
        parameters=sum(p.numel() for p in unique.values()),
        biases=sum(p.numel() for name, p in parameters.items() if name.rpartition(".")[2] == "bias"),
        norms=sum(p.numel() for p in unique.values() if id(p) in norms),
        linears=layers,
        macs=passed.operations[index] // (2 * BATCH),
        entry_bytes=passed.entered[index] // BATCH,
        activation_bytes=passed.kept[index] // BATCH,
        convolutional=is_convolutional(trunk.host, trunk.stages),
        fresh=stage.name in trunk.fresh,
        has_batch_norm=any(isinstance(m, nn.modules.batchnorm._BatchNorm) for part in stage.parts(trunk.host) for m in part.modules()),
    )


def is_norm(module: nn.Module) -> bool:
    """A normalisation layer: torch's own, or one whose class says so (transformers' ``LlamaRMSNorm``)."""
    return "Norm" in type(module).__name__ and not any(True for _ in module.children())


def probe(trunk: Trunk, length: int, device: str = "meta") -> Inputs | None:
    """A batch of two examples such as ``trunk`` takes, with nothing in it; ``None`` where the shape of its input is not known."""
    spec = trunk.input
    if spec.kind == "text":
        words = {"input_ids": torch.zeros(BATCH, length, dtype=torch.long, device=device)}
        if trunk.pooling != "last":
            return words
        # without a finished mask, a decoder looks at its values to find out whether sequences are packed
        return words | {"attention_mask": torch.ones(BATCH, 1, length, length, dtype=torch.bool, device=device)}
    if spec.kind == "audio" and trunk.family == "whisper":
        config: Any = trunk.host.config
        return {"input_features": torch.zeros(BATCH, config.num_mel_bins, 2 * config.max_source_positions, device=device)}
    if spec.kind == "audio":
        return {"input_values": torch.zeros(BATCH, length, device=device)}
    if spec.size is None:
        return None
    return {"image": torch.zeros(BATCH, len(spec.mean), *spec.size, device=device)}


def _length(trunk: Trunk, asked: int) -> int:
    if trunk.input.kind == "text":
        return min(asked or TOKENS, trunk.input.max_length or sys.maxsize)
    return (asked or trunk.input.sample_rate or 0) if trunk.input.kind == "audio" else 0


def _pass(trunk: Trunk, length: int) -> _Passed:
    """One forward pass in training mode over a copy without weights; over a full copy where that fails, its forward being of a
    kind that looks at values."""
    for duplicate, device in COPIES:
        inputs = probe(trunk, length, device)
        if inputs is not None:
            try:
                with torch.random.fork_rng(devices=[]):
                    return _count(trunk, duplicate(trunk.host), inputs)
            except (RuntimeError, NotImplementedError):
                continue
    return _Passed.blank(len(trunk.stages))


class _Counter(TorchDispatchMode):
    """Counts by torch's own formulas. ``FlopCounterMode``, which has them, keeps a tree of all modules besides, and asks of every operation whether it is
    made of others: a quarter of the time of a pass that computes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self._known: dict[Any, list[Tensor]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        given = kwargs or {}
        out = func(*args, **given) if given or func not in OFTEN else self._alike(func, args)
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.operations += formula(*args, **given, out_val=out)
        return out

    def _alike(self, func: Any, args: tuple[Any, ...]) -> Any:
        """Without values, the answer to alike arguments is alike, and blocks repeat: it is worked out once."""
        if not args[0].is_meta:
            return func(*args)
        key = (func, *map(_hashable, args))
        if key not in self._known:
            out = func(*args)
            self._known[key] = list(out) if isinstance(out, tuple) else [out]
            return out
        made = tuple(torch.empty_strided(one.size(), one.stride(), dtype=one.dtype, device="meta") for one in self._known[key])
        return made if len(made) > 1 else made[0]


def _hashable(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return tuple(argument.shape), argument.stride(), argument.dtype
    return tuple(argument) if isinstance(argument, list) else argument


def _count(trunk: Trunk, host: nn.Module, inputs: Inputs) -> _Passed:
    """Each event of a forward pass is booked on the stage that was entered last."""
    passed = _Passed.blank(len(trunk.stages))
    host.requires_grad_(True).train()
    _calm(host)
    owned = {t.untyped_storage()._cdata for t in (*host.parameters(), *host.buffers())}
    seen: dict[int, torch.UntypedStorage] = {}
    counter, current, booked = _Counter(), 0, 0

    def enter(index: int, is_first: bool, arguments: Any) -> None:
        nonlocal current, booked
        passed.operations[current] += counter.operations - booked
        current, booked = index, counter.operations
        if is_first:
            passed.entered[index] = sum(_fp32_bytes(t, t.numel()) for t in tree_leaves(arguments) if _is_per_example(t))

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in owned and storage._cdata not in seen:
            seen[storage._cdata] = storage  # held, so that no other storage takes its address
            passed.kept[current] += _fp32_bytes(tensor, storage.nbytes() // tensor.element_size())
        return tensor

    for index, path, is_first in _doors(trunk):
        hook = partial(enter, index, is_first)
        host.get_submodule(path).register_forward_pre_hook(lambda _, args, kwargs, hook=hook: hook((args, kwargs)), with_kwargs=True)
    with counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        trunk.run(host, inputs)
        enter(current, False, None)
    return passed


def _doors(trunk: Trunk) -> Iterator[tuple[int, str, bool]]:
    """(stage, path, is it the stage's first?) of every module that a stage is made of."""
    for index, stage in enumerate(trunk.stages):
        for place, path in enumerate(stage.modules):
            yield index, path, place == 0


def _is_per_example(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.ndim > 0 and len(leaf) == BATCH


def _fp32_bytes(tensor: Tensor, count: int) -> int:
    return count * (FP32_BYTES if tensor.is_floating_point() else tensor.element_size())


def _calm(host: Any) -> None:
    """On a copy of a transformers model: nothing that looks at values (is there padding?), nothing left to chance (dropped layers,
    masked spans)."""
    for module in host.modules():
        if hasattr(module, "layerdrop"):
            module.layerdrop = 0.0
    config = getattr(host, "config", None)
    for name, value in (("layerdrop", 0.0), ("apply_spec_augment", False), ("pad_token_id", None)):
        if hasattr(config, name):
            setattr(config, name, value)
