"""Tensors as bytes and back: what a store keeps of a model, the digest of each tensor and of a stage, loading with nothing left over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regraft import digest
from regraft.errors import DamagedError, TrunkError
from regraft.trunk.network import Network

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
"""torch's dtypes -> their names in safetensors files."""


Place = tuple[Path, str] | Callable[[], tuple[str, tuple[int, ...], bytes | bytearray | memoryview]]
"""Where a tensor is read: a safetensors file and the key there, or what gives its dtype, shape and bytes, as in ``Bits``."""


class Bits(NamedTuple):
    """A tensor's content: safetensors' name of its dtype, its shape, its elements row by row (a view where that is possible)."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview


def bits(tensor: Tensor) -> Bits:
    if tensor.dtype not in DTYPES:
        raise TrunkError(f"store a tensor of {tensor.dtype}", "its bytes have no agreed form", f"one of {', '.join(DTYPES.values())}")
    rows = tensor.detach().cpu().contiguous().reshape(-1)
    return Bits(DTYPES[tensor.dtype], tuple(tensor.shape), rows.view(torch.uint8).numpy().data)


def state(module: nn.Module, prefix: str = "") -> dict[str, Bits]:
    """Everything that ``module.state_dict()`` names, each name behind ``prefix``. The bytes are views: copy before training on."""
    return {prefix + name: bits(tensor) for name, tensor in module.state_dict().items()}


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 over dtype, shape and bytes, the same that the store computes; the device and the memory layout do not matter."""
    dtype, shape, data = bits(tensor)
    return digest.of_bytes(digest.canonical_json([dtype, list(shape)]), data if data.nbytes else b"")


def digests(module: nn.Module) -> dict[str, str]:
    """Name in ``module.state_dict()`` -> digest."""
    return {name: tensor_digest(tensor) for name, tensor in module.state_dict().items()}


def stage_digest(network: Network, index: int) -> str:
    """One digest of grid row ``index``: its parameters and its buffers (those that are not saved among them), by name."""
    rows = [*network.stage_parameters(index), *network.stage_buffers(index)]
    return digest.of_json({name: tensor_digest(tensor) for name, tensor in rows})


def load_state(module: nn.Module, files: Mapping[str, Place]) -> None:
    """Fill ``module`` from safetensors files: ``files`` says for each name of its state dict where it is read.

    Every name must be told and every told name must exist; dtypes and shapes must be the module's own.
    """
    places = module.state_dict()
    _check_names(places, files)
    with torch.no_grad():
        for where, name, value in _values(files):
            place = places[name]
            if (value.dtype, value.shape) != (place.dtype, place.shape):
                raise DamagedError(f"load {name!r} from {where}", f"it is {value.dtype} {tuple(value.shape)}, the model "
                                   f"has {place.dtype} {tuple(place.shape)}", "load the model that these weights belong to")  # fmt: skip
            place.copy_(value)


def read_state(files: Mapping[str, Place]) -> dict[str, Tensor]:
    """The tensors of safetensors files by name; ``files`` as for ``load_state``."""
    return {name: value for _, name, value in _values(files)}


def _values(files: Mapping[str, Place]) -> Iterator[tuple[str, str, Tensor]]:
    """(where it was read, name, tensor)."""
    by_file: dict[Path, list[tuple[str, str]]] = {}
    for name, place in files.items():
        if callable(place):
            yield "the store", name, _tensor(*place())
        else:
            by_file.setdefault(place[0], []).append((name, place[1]))
    for path, rows in by_file.items():
        for name, value in _read(path, rows).items():
            yield path.name, name, value


def _tensor(dtype: str, shape: tuple[int, ...], data: bytes | bytearray | memoryview) -> Tensor:
    kind = next(kind for kind, name in DTYPES.items() if name == dtype)
    return torch.frombuffer(bytearray(data), dtype=kind).reshape(shape)


def _check_names(places: Mapping[str, Tensor], files: Mapping[str, Place]) -> None:
    missing, unknown = sorted(set(places) - set(files)), sorted(set(files) - set(places))
    if missing or unknown:
        told = [f"{len(names)} {what}: {', '.join(names[:4])}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
        raise DamagedError("load the weights of a model", "; ".join(told), "load the model that these weights belong to")


def _read(path: Path, rows: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(key) for name, key in rows}
    except (SafetensorError, OSError) as error:
        raise DamagedError(f"read weights {path.name}", str(error), "restore the file, or load another generation") from error
