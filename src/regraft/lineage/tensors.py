"""Tensors as bytes: their digests, and the safetensors files that hold them. Knows neither torch nor numpy.

A safetensors file is eight bytes of header length, a JSON header ``{name: {dtype, shape, data_offsets}}``, and the tensors' bytes
(https://github.com/huggingface/safetensors#format). It is written here piece by piece, because the library's own torch-free writer wants a
second copy of the whole model in memory and changed its arguments between releases.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from regraft import digest
from regraft.lineage.files import Bytes

DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL", "complex64": "C64",
}  # fmt: skip
ALIGNMENT_BYTES = 8


class TensorData(NamedTuple):
    """``dtype``: torch's name ("float32") or safetensors' ("F32"); ``data``: the elements, row by row, little-endian."""

    dtype: str
    shape: tuple[int, ...]
    data: Bytes

    @property
    def digest(self) -> str:
        """SHA-256 over dtype, shape and bytes; the same wherever the tensor is stored and whatever it is called."""
        return _digest(dtype_code(self.dtype), self.shape, self.data)


def dtype_code(dtype: str) -> str:
    """The name that safetensors gives a dtype: ``torch.float32``, ``float32`` and ``F32`` are all "F32"."""
    name = dtype.removeprefix("torch.")
    return DTYPES.get(name, name)


def file_digest(tensors: Mapping[str, str]) -> str:
    """The name of the file that holds these tensors (key -> digest)."""
    return digest.of_json(dict(tensors))


def file_parts(tensors: Mapping[str, TensorData]) -> Iterator[Bytes]:
    """The bytes of a safetensors file, in pieces. Widest elements first, so that every tensor is aligned for mapping."""
    order = sorted(tensors, key=lambda name: (-_element_bytes(tensors[name]), name))
    header, offset = {}, 0
    for name in order:
        dtype, shape, data = tensors[name]
        end = offset + memoryview(data).nbytes
        header[name] = {"dtype": dtype_code(dtype), "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT_BYTES)
    yield len(text).to_bytes(8, "little")
    yield text
    for name in order:
        yield tensors[name].data


def damaged(path: Path, expected: Mapping[str, str]) -> list[str]:
    """Which of the keys (key -> digest) the file at ``path`` does not hold as expected; all of them where it cannot be read."""
    try:
        with _mapped(path) as (header, view):
            return sorted(key for key, wanted in expected.items() if _stored_digest(header, view, key) != wanted)
    except (OSError, ValueError, KeyError, TypeError):
        return sorted(expected)


def read(path: Path, key: str) -> TensorData:
    """One tensor of the file at ``path``. Raises ``OSError``, ``ValueError``, ``KeyError`` where it is not there."""
    with _mapped(path) as (header, view):
        start, end = header[key]["data_offsets"]
        with view[start:end] as part:
            return TensorData(header[key]["dtype"], tuple(header[key]["shape"]), bytes(part))


def total_bytes(tensors: Iterable[TensorData]) -> int:
    return sum(memoryview(tensor.data).nbytes for tensor in tensors)


def _digest(code: str, shape: Iterable[int], data: Bytes) -> str:
    view = memoryview(data)
    return digest.of_bytes(digest.canonical_json([code, list(shape)]), view if view.nbytes else b"")


def _element_bytes(tensor: TensorData) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return memoryview(tensor.data).nbytes // count if count else 0


def _stored_digest(header: dict, view: memoryview, key: str) -> str:
    if key not in header:
        return ""
    start, end = header[key]["data_offsets"]
    with view[start:end] as part:
        return _digest(header[key]["dtype"], header[key]["shape"], part)


@contextmanager
def _mapped(path: Path) -> Iterator[tuple[dict, memoryview]]:
    """The header, and a view of the bytes after it."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        length = int.from_bytes(mapped[:8], "little")
        header = json.loads(mapped[8 : 8 + length])
        with memoryview(mapped) as whole, whole[8 + length :] as view:
            yield header, view
