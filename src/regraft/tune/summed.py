"""The sums behind a head made of statistics: from the features that were kept, or from where they were summed before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regraft import digest
from regraft.cache.arrays import KeptArrays
from regraft.evaluate.sums import Sums
from regraft.surgery.statistics import StatisticsHead
from regraft.trunk.tensors import tensor_digest
from regraft.tune.kept import Kept

FOLDER = ".sums"


def of_tables(head: StatisticsHead, tables: Sequence[Kept], classes: Sequence[str], *, folder: Path | None = None) -> Sums:
    """Over the kept features of all ``tables``, classes by name. ``folder``: of the cache, where they may lie already and are left."""
    store = KeptArrays(folder / FOLDER) if folder else None
    key = key_of(head, tables, classes)
    if store is not None and (held := store.get(key)) is not None:
        return Sums.from_arrays(held)
    found = of_rows(head, *rows_of(tables, classes, width_of(head)), num_classes=len(classes))
    if store is not None:
        store.put(key, found.arrays())
    return found


def of_rows(
    head: StatisticsHead, features: NDArray[np.float32], targets: NDArray[np.intp], keys: NDArray[np.uint64], *, num_classes: int
) -> Sums:
    return Sums.of(features, targets, keys, lift=head.lifted, num_classes=num_classes, means=head.spec.how == "means")


def taking(sums: Sums, head: StatisticsHead, tables: Sequence[Kept], classes: Sequence[str]) -> Sums:
    """``sums`` over ``classes`` with the kept features of ``tables``; they are used up, as adding to them in place spares many times their reading."""
    return sums.taking(*rows_of(tables, classes, width_of(head)), lift=head.lifted)


def rows_of(tables: Sequence[Kept], classes: Sequence[str], width: int) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.uint64]]:
    """Features (n, width), targets (n,) and keys (n,) of all ``tables``."""
    place = {name: index for index, name in enumerate(classes)}
    features = [table.features for table in tables]
    return (
        np.concatenate([np.empty((0, width), np.float32), *(part for part in features if part is not None)]),
        np.array([place[label] for table in tables for label in table.labels], np.intp),
        np.concatenate([np.empty(0, np.uint64), *(table.keys for table in tables)]),
    )


def key_of(head: StatisticsHead, tables: Sequence[Kept], classes: Sequence[str]) -> str:
    """Of sums that do not depend on the order of what is summed."""
    features, targets, keys = rows_of(tables, classes, width_of(head))
    whole = np.concatenate(
        [keys[:, None].view(np.uint8), targets[:, None].view(np.uint8), np.ascontiguousarray(features).view(np.uint8)], axis=1
    )
    rows = np.sort(np.ascontiguousarray(whole).view(f"V{whole.shape[1]}").ravel())
    projection = tensor_digest(head.projection) if head.projection is not None else "means"
    return digest.of_bytes(f"{projection} {len(classes)}".encode(), rows.tobytes())


def width_of(head: StatisticsHead) -> int:
    """Of the trunk's features."""
    return head.linear.in_features if head.projection is None else head.projection.shape[0]


def to_bytes(sums: Sums) -> bytes:
    from safetensors.numpy import save

    return save(sums.arrays())


def of_bytes(data: bytes) -> Sums:
    from safetensors.numpy import load

    return Sums.from_arrays(load(data))
