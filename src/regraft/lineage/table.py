"""The table of a generation: where each of its tensors lies. Tensors that the family holds are shared; of the others those are packed
(``packing.py``) that lie near an ancestor's, or that no ancestor has (LoRA, heads), and the rest is written as it is. Pretrained weights are never packed.

A difference is always to a tensor that lies there as it is, so that reading one never needs more than one other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.errors import DamagedError
from regraft.lineage import query
from regraft.lineage import tensors as tensor_files
from regraft.lineage.record import Generation
from regraft.lineage.rows import Row, Table, holders
from regraft.lineage.tensors import TensorData
from regraft.lineage.verify import MEND, Verifier

if TYPE_CHECKING:
    from regraft.lineage.store import Store

Place = tuple[Path, str] | Callable[[], TensorData]
"""A safetensors file and a key in it; or what unpacks the tensor, and raises ``DamagedError`` where it is not that of its digest."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the family holds, undamaged. ``rows``: by digest of the tensor; ``whole``: by its name, the nearest one that is no difference."""

    rows: Mapping[str, Row]
    whole: Mapping[str, Row]

    @classmethod
    def by(cls, store: Store, document: Mapping[str, Any]) -> Held:
        """By the base, the ancestors and their bases of the generation that ``document`` will be."""
        family = list(query.ancestry(store, *(store.get(parent) for parent in Generation(dict(document)).parents)))
        bases = dict.fromkeys(b for b in (document["base"], *(one.base for one in family)) if b and store.has_base(b))
        pretrained, own = _rows(store, [store.read("bases", b) for b in bases]), _rows(store, family)
        broken = Verifier(store).broken(row for _, row in [*pretrained, *own])
        pretrained, own = ([(name, row) for name, row in rows if (row["holder"], row["key"]) not in broken] for rows in (pretrained, own))
        by_digest = {row["digest"]: row for _, row in [*own[::-1], *pretrained[::-1]]}
        return cls(by_digest, {name: row for name, row in [*pretrained[::-1], *own[::-1]] if "packed" not in row})


def _rows(store: Store, sources: Iterable[Generation]) -> list[tuple[str, Row]]:
    return [(name, row) for source in sources for name, row in store.table(source).items()]


def put(store: Store, tensors: Mapping[str, TensorData], digests: Mapping[str, str], held: Held, *, packs: bool) -> tuple[Table, int]:
    """Write those tensors that are held nowhere; equal ones once; packed where that pays, if ``packs``. Returns the table and the bytes written."""
    keys: dict[str, str] = {}
    for name, value in digests.items():
        if value not in held.rows:
            keys.setdefault(value, name)
    how: dict[str, dict[str, Any]] = {}
    written: dict[str, TensorData] = {}
    for value, name in keys.items():
        packed = _packed(store, tensors[name], held.whole.get(name)) if packs else None
        written[name], how[value] = packed or (tensors[name], {})
    expected = {name: written[name].digest if how[value] else value for value, name in keys.items()}
    holder, size = _write(store, written, expected) if written else ("", 0)
    table: Table = {}
    for name, tensor in tensors.items():
        value = digests[name]
        at = held.rows.get(value) or {"holder": holder, "key": keys[value], **how[value]}
        where: dict[str, Any] = {part: at[part] for part in ("holder", "key", "packed") if part in at}
        table[name] = {"digest": value, "dtype": tensor_files.dtype_code(tensor.dtype), "shape": list(tensor.shape), **where}
    return table, size


def places(store: Store, table: Table) -> dict[str, Place]:
    """Where each tensor can be read; nothing is compared with its digest but what has to be unpacked, when it is."""
    files = {holder: store.local(holder) for row in table.values() for holder in holders(row)}
    return {name: _place(files, name, row) for name, row in table.items()}


def _packed(store: Store, tensor: TensorData, near: Row | None) -> tuple[TensorData, dict[str, Any]] | None:
    """What is written in place of ``tensor``, and what its row says of that; ``None`` where it saves too little. ``near``: of that name."""
    from regraft.lineage import packing  # numpy is not needed to read history

    code = tensor_files.dtype_code(tensor.dtype)
    if near is not None and (near["dtype"], near["shape"]) != (code, list(tensor.shape)):
        near = None
    old = tensor_files.read(store.local(near["holder"]), near["key"]).data if near else None
    packed = packing.pack(tensor, old)
    if packed is None or packing.unpack(packed, old, code, math.prod(tensor.shape)) != memoryview(tensor.data):
        return None
    made = TensorData("U8", (len(packed),), packed)
    against = {part: near[part] for part in ("holder", "key", "digest")} if near else None
    return made, {"packed": {"digest": made.digest, "against": against}}


def _write(store: Store, tensors: Mapping[str, TensorData], expected: Mapping[str, str]) -> tuple[str, int]:
    """The object with these tensors, and the bytes that it added."""
    holder = f"{tensor_files.file_digest(expected)}.safetensors"
    path = f"objects/{holder}"
    if store.reuse(holder) and not tensor_files.damaged(store.files.local(path), expected):
        return holder, 0
    store.files.write(path, tensor_files.file_parts(tensors))
    return holder, store.files.size(path)


def _place(files: Mapping[str, Path], name: str, row: Row) -> Place:
    if "packed" not in row:
        return files[row["holder"]], row["key"]

    def unpacked() -> TensorData:
        from regraft.lineage import packing

        against = row["packed"]["against"]
        try:
            old = tensor_files.read(files[against["holder"]], against["key"]).data if against else None
            packed = tensor_files.read(files[row["holder"]], row["key"]).data
            data = packing.unpack(packed, old, row["dtype"], math.prod(row["shape"]))
        except (OSError, ValueError, KeyError) as error:
            raise _unreadable(name, row, str(error)) from error
        made = TensorData(row["dtype"], tuple(row["shape"]), data)
        if made.digest != row["digest"]:
            raise _unreadable(name, row, "it is not that of its digest")
        return made

    return unpacked


def _unreadable(name: str, row: Row, found: str) -> DamagedError:
    return DamagedError(f"unpack tensor {name} of objects/{row['holder']}", found, MEND)
