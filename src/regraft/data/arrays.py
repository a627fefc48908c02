"""The forms that targets take, as Arrow columns and as arrays. The type of the column says which form it is.

| target | column | array |
|---|---|---|
| class, level | int64 | (n,) int64 |
| number | float64 | (n,) float32 |
| set | fixed-size list of k float32 | (n, k) float32, 1 where the label applies |
| tags | list of int64 | (n,) object: an int64 array for each sentence |
| transcript | list of int64 | (n,) object: an int64 array of characters for each (:mod:`regraft.data.spelling`) |
| several | fixed-size list of m float32 | (n, m) float32, NaN where a target is missing (:mod:`regraft.data.targets.several`) |
| mask | string | (n,) object: path and digest of each mask (:mod:`regraft.data.masks`) |
| text, preference | large string | (n,) object: the answer that ends each conversation, or is preferred; empty for plain text |
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from regraft import digest
from regraft.data import arrow
from regraft.spec import PART, Form

CLASS, NUMBER, TAGS, MASK, TEXT = pa.int64(), pa.float64(), pa.list_(pa.int64()), pa.string(), pa.large_string()
TRANSCRIPT = TAGS


def set_of(num_labels: int) -> pa.DataType:
    return pa.list_(pa.float32(), num_labels)


def of_column(column: pa.ChunkedArray) -> np.ndarray:
    """The targets in ``column``, in the form that its type says."""
    kind = column.type
    if pa.types.is_floating(kind):
        return arrow.numbers(column).astype(np.float32)
    if pa.types.is_fixed_size_list(kind):
        flat = [arrow.numbers(chunk.flatten()) for chunk in column.chunks]
        return np.concatenate(flat or [np.zeros(0, np.float32)]).reshape(-1, kind.list_size)
    if pa.types.is_list(kind):
        return ragged(arrow.rows(column))
    return arrow.numbers(column) if pa.types.is_integer(kind) else column.to_numpy()


def blank(form: Form, inputs: list[str], num_classes: int) -> pa.Array:
    """Targets of this form that say nothing, for inputs whose answer is to be predicted: class 0, the number 0, no label, no mask, tag 0 for every word."""
    if form.target == "tags":
        return arrow.array([[0] * (text.count(PART) + 1) for text in inputs], TAGS)
    if form.target == "transcript":
        return arrow.array([[] for _ in inputs], TRANSCRIPT)
    if form.target in ("mask", "text", "preference"):
        return arrow.array([""] * len(inputs), MASK if form.target == "mask" else TEXT)
    if form.target == "several":
        return arrow.array([[float("nan")] * num_classes for _ in inputs], set_of(num_classes))
    if form.target == "set":
        return arrow.array([[0.0] * num_classes for _ in inputs], set_of(num_classes))
    return arrow.array(np.zeros(len(inputs)), NUMBER) if form.target == "number" else arrow.array(np.zeros(len(inputs), np.int64), CLASS)


def ragged(rows: list[np.ndarray]) -> np.ndarray:
    """(n,) object array of arrays that differ in length; numpy would stack those that happen not to."""
    found = np.empty(len(rows), dtype=object)
    for index, row in enumerate(rows):
        found[index] = row
    return found


def as_bytes(column: pa.Array) -> bytes:
    """The same bytes for the same targets, on every machine."""
    kind = column.type
    if pa.types.is_integer(kind):
        return arrow.numbers(column).astype("<i8").tobytes()
    if pa.types.is_floating(kind):
        return arrow.numbers(column).astype("<f8").tobytes()
    if pa.types.is_fixed_size_list(kind):
        return arrow.numbers(column.flatten()).astype("<f4").tobytes()
    if pa.types.is_list(kind):
        return b"".join(row.astype("<i8").tobytes() + b"\n" for row in arrow.rows(column))
    if pa.types.is_large_string(kind):
        return digest.of_json(column.to_pylist()).encode()
    return "\n".join(map(_content, column.to_pylist())).encode()


def _content(mask: str) -> str:
    """What is in a mask, wherever it lies: its digest."""
    return mask.partition(PART)[2]


def codes(splits: list[np.ndarray]) -> np.ndarray:
    """(n,) int64 over all splits: equal for equal targets, whatever their form."""
    if all(np.issubdtype(targets.dtype, np.integer) for targets in splits):
        return np.concatenate(splits)
    known: dict[bytes, int] = {}
    rows = (row for targets in splits for row in targets)
    keys = (_content(row).encode() if isinstance(row, str) else np.asarray(row).tobytes() for row in rows)
    return np.fromiter((known.setdefault(key, len(known)) for key in keys), np.int64, sum(map(len, splits)))


def counts(targets: np.ndarray, num_classes: int) -> np.ndarray | None:
    """(k,) how often each class, label or tag is there; None for what has no classes to count by."""
    if targets.dtype == object:
        if not len(targets) or isinstance(targets[0], str):
            return None
        targets = np.concatenate(list(targets))
        targets = targets[targets >= 0]
    if targets.ndim == 2:
        return targets.sum(axis=0).astype(np.int64)
    return np.bincount(targets, minlength=num_classes) if np.issubdtype(targets.dtype, np.integer) else None
