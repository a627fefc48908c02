"""A row of a table of tensors: where one tensor of a generation lies, and which bytes it needs.

``digest``, ``dtype`` and ``shape`` of the tensor; ``holder``, the object that holds it, and ``key``, its name in there. Where a difference lies there
(``packing.py``), ``packed``: its own ``digest``, and ``against``: ``holder``, ``key`` and ``digest`` of the ancestor's tensor, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]
Table = dict[str, dict[str, Any]]
"""Tensor name -> row."""


def holders(row: Row) -> Iterator[str]:
    """The objects that it needs."""
    return (holder for holder, _, _ in parts(row))


def parts(row: Row) -> Iterator[tuple[str, str, str]]:
    """(holder, key, digest of the bytes there) of all that it needs."""
    packed = row.get("packed")
    yield row["holder"], row["key"], packed["digest"] if packed else row["digest"]
    if packed and (against := packed["against"]):
        yield against["holder"], against["key"], against["digest"]
