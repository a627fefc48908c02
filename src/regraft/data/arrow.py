"""Arrow arrays of plain Python and numpy values, and back.

``pa.array`` asks pandas whether the values are its own, and imports it to ask, as ``to_numpy`` does: a third of a second, and 60 MB for as long as the
process lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def array(values: NDArray[Any] | Sequence[Any], kind: pa.DataType | None = None, *, null: NDArray[np.bool_] | None = None) -> pa.Array:
    """``values`` as an array of ``kind``: numbers, flags, texts, or lists of numbers. ``kind`` may be left out for a numpy array. ``null`` (n,): which
    values there are none of; of a sequence those that are ``None``."""
    if isinstance(values, np.ndarray):
        return _numbers(values, pa.from_numpy_dtype(values.dtype) if kind is None else kind, null)
    if kind is None:
        raise TypeError("a sequence does not say its kind")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _texts(values, kind)
    if null is None and any(value is None for value in values):
        null = np.array([value is None for value in values], np.bool_)
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(values, kind, null)
    filled = values if null is None else [0 if value is None else value for value in values]
    return _numbers(np.array(filled, kind.to_pandas_dtype()), kind, null)


def _numbers(values: NDArray[Any], kind: pa.DataType, null: NDArray[np.bool_] | None) -> pa.Array:
    as_bits = pa.types.is_boolean(kind)
    content = np.packbits(values, bitorder="little") if as_bits else np.ascontiguousarray(values, kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(values), [_valid(null), pa.py_buffer(content)])


def _texts(values: Sequence[str | None], kind: pa.DataType) -> pa.Array:
    builder = pa.lib.StringBuilder()
    builder.append_values(values)
    made = builder.finish()
    return made if kind == made.type else made.cast(kind)


def _lists(values: Sequence[Sequence[Any] | None], kind: pa.DataType, null: NDArray[np.bool_] | None) -> pa.Array:
    fixed = pa.types.is_fixed_size_list(kind)
    empty = [0] * kind.list_size if fixed else []
    rows = [empty if row is None else row for row in values]
    content = _numbers(np.array(list(chain.from_iterable(rows)), kind.value_type.to_pandas_dtype()), kind.value_type, None)
    if fixed:
        return pa.Array.from_buffers(kind, len(rows), [_valid(null)], children=[content])
    ends = np.cumsum([0, *map(len, rows)], dtype=np.int32)
    return pa.Array.from_buffers(kind, len(rows), [_valid(null), pa.py_buffer(ends)], children=[content])


def _valid(null: NDArray[np.bool_] | None) -> pa.Buffer | None:
    return None if null is None else pa.py_buffer(np.packbits(~null, bitorder="little"))


def numbers(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """(n,) the values of a column of numbers without nulls, in an array of their own."""
    kind = np.dtype(column.type.to_pandas_dtype())
    pieces = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    held = [np.frombuffer(piece.buffers()[1], kind, len(piece), piece.offset * kind.itemsize) for piece in pieces if len(piece)]
    return np.concatenate([np.zeros(0, kind), *held])


def rows(column: pa.Array | pa.ChunkedArray) -> list[NDArray[Any]]:
    """The values of each row of a column of lists of numbers without nulls."""
    pieces = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return [row for piece in pieces for row in np.split(numbers(piece.flatten()), np.cumsum(np.diff(numbers(piece.offsets))))[:-1]]
