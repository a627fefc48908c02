"""The inner sizes of a stage: what one layer makes and the next one reads, and nobody else sees.

    channels    [fc1] -> n channels -> [fc2]         convolutions too, with batch norm and depthwise convolutions between
    heads       [query key value] -> n heads -> [output projection]

Candidates come from the names of transformer blocks and from the order of convolutions; each is tried before it is believed: with one unit
taken out, the model must give what it gives when that unit is merely not read. So a branch, a norm across channels or a table of its own
that somebody else reads is noticed, and refused.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from regraft.surgery.changes import watched
from regraft.surgery.flow import answers, probe_inputs
from regraft.trunk.network import Network

MLPS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("intermediate.dense",), "output.dense"),
    (("ffn.lin1",), "ffn.lin2"),
    (("mlp.c_fc",), "mlp.c_proj"),
    (("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj"),
    (("mlp.fc1",), "mlp.fc2"),
    (("feed_forward.intermediate_dense",), "feed_forward.output_dense"),
    (("fc1",), "fc2"),
    (("mlp.0",), "mlp.3"),
)
"""(layers that make the inner channels, layer that reads them), as they end inside a block."""

ATTENTIONS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("attention", ("self.query", "self.key", "self.value"), "output.dense"),
    ("attention", ("q_lin", "k_lin", "v_lin"), "out_lin"),
    ("attention", ("q_proj", "k_proj", "v_proj"), "o_proj"),
    ("attention", ("q_proj", "k_proj", "v_proj"), "out_proj"),
    ("self_attn", ("q_proj", "k_proj", "v_proj"), "o_proj"),
    ("self_attn", ("q_proj", "k_proj", "v_proj"), "out_proj"),
    ("attn", ("c_attn",), "c_proj"),
    ("attn", ("qkv",), "proj"),
)
"""(attention, its projections in, its projection out). One projection in: the three in one, one after the other."""
HEAD_SIZES = ("attention_head_size", "head_dim")
HEAD_COUNTS = ("num_attention_heads", "num_heads", "n_heads", "num_key_value_heads")
ALL_HEADS = ("all_head_size", "attn_dim", "split_size")
TOLERANCE = 1e-4
Index = Tensor
"""(parts, units, r): which outputs of a layer each unit is; a fused projection gives queries, keys and values as three parts."""


@dataclass(frozen=True, eq=False)
class InnerSize:
    """``reader``: path of the layer that reads the units; ``columns`` (units, c): which of its inputs each unit is. ``makers``: path of each
    layer that makes them, or keeps them apart (norms, depthwise convolutions), with its ``Index``. ``counts``: (path, attribute) that the
    host keeps of the inner size, with its value for one unit."""

    reader: str
    columns: Tensor
    makers: dict[str, Index]
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def units(self) -> int:
        return len(self.columns)

    def norms(self, host: nn.Module, criterion: str) -> Tensor:
        """(units,): the L1 or L2 norm of the weights that make each unit and read it."""
        weights = [outputs_first(host.get_submodule(path))[index.transpose(0, 1).flatten()].reshape(self.units, -1)
                   for path, index in self.makers.items() if not isinstance(host.get_submodule(path), nn.BatchNorm2d)]  # fmt: skip
        weights.append(inputs_first(host.get_submodule(self.reader))[self.columns.flatten()].reshape(self.units, -1))
        return torch.linalg.vector_norm(torch.cat(weights, 1).double(), ord={"l1": 1, "l2": 2}[criterion], dim=1)

    def take(self, host: nn.Module, units: Tensor, share: Tensor | None = None) -> None:
        """Let the inner size be ``units`` (indices, each as often as wanted). ``share`` (len(units),): how much the reader takes of each."""
        for path, index in self.makers.items():
            _swap(host, path, with_outputs(host.get_submodule(path), index[:, units].flatten()))
        scale = None if share is None else share.repeat_interleave(self.columns.shape[1])
        _swap(host, self.reader, with_inputs(host.get_submodule(self.reader), self.columns[units].flatten(), scale))
        for (path, name), one in self.counts.items():
            setattr(host.get_submodule(path), name, one * len(units))

    def unread(self, host: nn.Module, units: Tensor) -> None:
        """Let the reader take nothing of the units that are not among ``units``; the size stays."""
        scale = torch.zeros(self.units)
        scale[units] = 1.0
        scale = scale.repeat_interleave(self.columns.shape[1])
        everything = self.columns.flatten()
        order = torch.argsort(everything)
        _swap(host, self.reader, with_inputs(host.get_submodule(self.reader), everything[order], scale[order]))


def inner_sizes(network: Network, index: int, what: str) -> list[InnerSize]:
    """Those of stage ``index`` that hold when tried, in the order in which data flows."""
    return [size for size in candidates(network, index, what) if _holds(network, size)]


def candidates(network: Network, index: int, what: str) -> list[InnerSize]:
    """By name and shape alone; in a model that is rebuilt they were tried before."""
    host, stage = network.host, network.trunk.stages[index]
    layers = {f"{path}.{name}" if name else path: part for path in stage.modules for name, part in host.get_submodule(path).named_modules()}
    if what == "heads":
        return list(_attentions(layers))
    return [*_mlps(layers), *_convolutions(layers)]


def _mlps(layers: dict[str, nn.Module]) -> Iterator[InnerSize]:
    for makers, reader in MLPS:
        for path, last in layers.items():
            stem = path[: -len(reader)]
            paths = [stem + maker for maker in makers]
            if not path.endswith("." + reader) or not is_linear(last) or not all(is_linear(layers.get(p)) for p in paths):
                continue
            if {sizes(layers[p])[1] for p in paths} == {sizes(last)[0]}:
                columns = torch.arange(sizes(last)[0])[:, None]
                yield InnerSize(path, columns, {p: columns[None] for p in paths})


def _convolutions(layers: dict[str, nn.Module]) -> Iterator[InnerSize]:
    """Runs of an ordinary convolution, layers that keep its channels apart, and the ordinary convolution that follows."""
    run: list[str] = []
    channels = 0
    for path, part in layers.items():
        if isinstance(part, nn.Conv2d) and part.groups == 1:
            if run and part.in_channels == channels:
                columns = torch.arange(channels)[:, None]
                yield InnerSize(path, columns, {p: columns[None] for p in run})
            run, channels = [path], part.out_channels
        elif run and _keeps_apart(part, channels):
            run.append(path)
        elif is_linear(part):
            run = []


def _keeps_apart(part: nn.Module, channels: int) -> bool:
    if isinstance(part, nn.BatchNorm2d):
        return part.num_features == channels
    return isinstance(part, nn.Conv2d) and part.groups == part.in_channels == part.out_channels == channels


def _attentions(layers: dict[str, nn.Module]) -> Iterator[InnerSize]:
    for name, makers, reader in ATTENTIONS:
        for path in layers:
            found = path.endswith("." + name) and [layers.get(f"{path}.{part}") for part in (*makers, reader)]
            if not found or not all(is_linear(part) for part in found):
                continue
            owner = path if len(makers) == 1 or "." not in makers[0] else f"{path}.{makers[0].rpartition('.')[0]}"
            size = _attention(layers[owner], owner, [f"{path}.{maker}" for maker in makers], f"{path}.{reader}", layers)
            if size is not None:
                yield size


def _attention(module: Any, owner: str, makers: list[str], reader: str, layers: dict[str, nn.Module]) -> InnerSize | None:
    width = next((getattr(module, name) for name in HEAD_SIZES if hasattr(module, name)), None)
    if width is None or any(True for _ in module.parameters(recurse=False)):  # a table of its own: sizes that are not known here
        return None
    read, parts = sizes(layers[reader])[0], 3 if len(makers) == 1 else 1
    made = [sizes(layers[path])[1] // parts for path in makers]
    units = min(made) // width  # where several queries share a key, they go together
    if units < 1 or made[0] != read or read % (units * width) or any(size % (units * width) for size in made):
        return None
    index = {path: torch.arange(parts * size).reshape(parts, units, -1) for path, size in zip(makers, made, strict=True)}
    counts = {
        (owner, name): getattr(module, name) // units for name in (*HEAD_COUNTS, *ALL_HEADS) if type(getattr(module, name, None)) is int
    }
    return InnerSize(reader, torch.arange(read).reshape(units, -1), index, counts)


def _holds(network: Network, size: InnerSize) -> bool:
    """With its last unit gone, does the model give what it gives when that unit is not read?"""
    if size.units < 2:
        return False
    inputs, kept = probe_inputs(network.trunk), torch.arange(size.units - 1)
    given = []
    for change in (size.unread, size.take):
        with watched(network) as changes:
            change(network.host, kept)
            try:
                given.append(answers(network, inputs))
            except (RuntimeError, ValueError, AttributeError, TypeError, IndexError):  # shapes that do not fit, told in many ways
                given.append(torch.tensor(float("nan")))
        changes.put_back()
    same = given[0].shape == given[1].shape and (given[0] - given[1]).abs().max() <= TOLERANCE * given[0].abs().max().clamp(min=1.0)
    return bool(same)


# -- layers with some of their inputs or outputs ------------------------------------------------------------------------------------------


def is_linear(part: Any) -> bool:
    return type(part) is nn.Linear or hasattr(part, "nf")


def sizes(layer: Any) -> tuple[int, int]:
    """(inputs, outputs) of a linear layer; transformers' ``Conv1D`` keeps its weight the other way round."""
    return tuple(layer.weight.shape) if hasattr(layer, "nf") else (layer.in_features, layer.out_features)


def outputs_first(layer: Any) -> Tensor:
    """The weight with its output dimension in front."""
    weight: Tensor = layer.weight.detach()
    return weight.T if hasattr(layer, "nf") else weight


def inputs_first(layer: Any) -> Tensor:
    weight: Tensor = layer.weight.detach()
    return weight if hasattr(layer, "nf") else weight.transpose(0, 1)


def with_outputs(layer: Any, index: Tensor) -> nn.Module:
    """A layer that gives the outputs ``index`` of ``layer``, in that order. Batch norms and depthwise convolutions: of its channels."""
    index, count = index.to(next(layer.parameters()).device), len(index)
    made = _blank(layer)
    if isinstance(layer, nn.BatchNorm2d):
        made.num_features = count
    elif isinstance(layer, nn.Conv2d):
        made.out_channels = count
        if layer.groups > 1:
            made.groups = made.in_channels = count
    elif hasattr(layer, "nf"):
        made.nf = count
    else:
        made.out_features = count
    for name, values in layer._parameters.items():
        if values is not None:
            axis = 1 if hasattr(layer, "nf") and name == "weight" else 0
            made._parameters[name] = nn.Parameter(values.detach().index_select(axis, index), values.requires_grad)
    for name, values in layer._buffers.items():
        made._buffers[name] = values if values is None or values.ndim == 0 else values.index_select(0, index)
    return made


def with_inputs(layer: Any, index: Tensor, scale: Tensor | None = None) -> nn.Module:
    """A layer that reads the inputs ``index`` of ``layer``, in that order, each times ``scale``."""
    index, axis = index.to(layer.weight.device), 0 if hasattr(layer, "nf") else 1
    made = _blank(layer)
    weight = layer.weight.detach().index_select(axis, index)
    if scale is not None:
        shape = [1] * weight.ndim
        shape[axis] = len(index)
        weight = weight * scale.to(weight).reshape(shape)
    made._parameters["weight"] = nn.Parameter(weight, layer.weight.requires_grad)
    setattr(made, "in_channels" if isinstance(layer, nn.Conv2d) else "nx" if hasattr(layer, "nf") else "in_features", len(index))
    return made


def _blank(layer: Any) -> Any:
    """A module like ``layer`` with tables of its own, which hold the same tensors."""
    made = copy.copy(layer)
    for table in ("_parameters", "_buffers", "_modules"):
        made.__dict__[table] = dict(layer.__dict__[table])
    return made


def _swap(host: nn.Module, path: str, layer: nn.Module) -> None:
    host.set_submodule(path, layer)
