"""What a generation keeps of its data: a probe of what it can do, examples to replay, features to sum again. Parquet tables of one form.

    probe     of the test split: a child is measured on it        replay    of the training split, some of each class, for a child to learn again
    features  of the training split, pooled: what a head made of statistics is a sum over

columns: ``input`` (text) or ``image`` or ``audio`` (the file's bytes); or ``features``; and with each ``label`` (its name), ``digest`` (of the content).
Rows are chosen by the hash of their content, so that the same data keeps the same examples in any order.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from regraft.data import arrow
from regraft.data.dataset import SCHEMA, Split
from regraft.errors import DataError

IN_FILES = ("image", "audio")
PROBE, REPLAY, FEATURES = "probe", "replay", "features"
MOST_PROBED = 5_000
MOST_BYTES = 32 << 20
"""Of a probe, and of what is kept to be learned again: larger splits are thinned, class by class."""
LEAST = 20
"""Of each class, so many are kept to be learned again whatever their size."""


@dataclass(frozen=True, eq=False, slots=True)
class Kept:
    """``table`` as above."""

    table: pa.Table

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def labels(self) -> list[str]:
        return self.table.column("label").to_pylist()

    @property
    def digests(self) -> list[str]:
        return self.table.column("digest").to_pylist()

    @property
    def keys(self) -> NDArray[np.uint64]:
        """(n,) the first 8 bytes of each digest."""
        return np.array([int(digest[:16], 16) for digest in self.digests], np.uint64)

    @property
    def features(self) -> NDArray[np.float32] | None:
        """(n, width), where features are what was kept."""
        if FEATURES not in self.table.column_names:
            return None
        column = self.table.column(FEATURES).combine_chunks()
        width = column.type.list_size
        return np.asarray(column.flatten(), np.float32).reshape(-1, width)

    @property
    def has_examples(self) -> bool:
        return FEATURES not in self.table.column_names

    def where(self, rows: NDArray[np.bool_]) -> Kept:
        return Kept(self.table.filter(arrow.array(rows)))

    def written(self) -> bytes:
        """The same bytes for the same rows."""
        from pyarrow import parquet

        sink = io.BytesIO()
        parquet.write_table(self.table, sink, compression="zstd", use_dictionary=["label"])
        return sink.getvalue()

    @classmethod
    def of_bytes(cls, data: bytes) -> Kept:
        from pyarrow import parquet

        return cls(parquet.read_table(io.BytesIO(data)))

    def split(self, name: str, classes: Sequence[str], folder: Path, parts: Any = "one") -> Split:
        """As a split over ``classes``; rows of other classes are left out. Images and sounds go to ``folder``, a file each, named by content."""
        if not self.has_examples:
            raise DataError(
                f"read the kept examples of {name}",
                "features were kept, not the examples",
                "grow by statistics, or tune with --set keep=examples",
            )
        known = {label: index for index, label in enumerate(classes)}
        held = self.where(np.array([label in known for label in self.labels], bool))
        columns = held.table.column_names
        inputs = held.table.column("input").to_pylist() if "input" in columns else [_file(folder, *row) for row in _files(held)]
        targets = [known[label] for label in held.labels]
        table = pa.table([inputs, targets, held.digests, [f"kept {digest[:8]}" for digest in held.digests]], schema=SCHEMA)
        return Split(name, table, parts)


def examples(split: Split, classes: Sequence[str], rows: NDArray[np.integer], *, kind: str) -> Kept:
    """These rows of ``split``, as they are: texts, or the bytes of their files."""
    chosen = split.take(rows)
    column = {kind: [Path(path).read_bytes() for path in chosen.inputs]} if kind in IN_FILES else {"input": chosen.table.column("input")}
    return Kept(pa.table({**column, **_named(chosen, classes)}))


def pooled(split: Split, classes: Sequence[str], rows: NDArray[np.integer], features: NDArray[np.float32]) -> Kept:
    """The pooled features (n, width) of the whole ``split`` at these rows, in place of what they were made from."""
    values = np.ascontiguousarray(features[rows], np.float32)
    column = pa.FixedSizeListArray.from_arrays(arrow.array(values.reshape(-1)), values.shape[1])
    return Kept(pa.table({FEATURES: column, **_named(split.take(rows), classes)}))


def probed(split: Split, *, kind: str) -> NDArray[np.intp]:
    """Rows of a probe: all of them, or as many as fit, each class in its share."""
    share = min(1.0, _most(split, kind) / max(len(split), 1))
    return thinned(split, lambda count: max(1, round(share * count)))


def replayed(split: Split, *, kind: str, most: int) -> NDArray[np.intp]:
    """Rows to learn again: of each class ``most``; where that is below 0 as many as fit, the same number of each that has them, and ``LEAST`` at the least."""
    counts = np.bincount(split.targets)
    if most < 0 and len(counts):
        fitting = bisect_right(range(int(counts.max()) + 1), _most(split, kind), key=lambda each: int(np.minimum(counts, each).sum())) - 1
        most = max(LEAST, fitting)
    return thinned(split, lambda count: min(count, most))


def _most(split: Split, kind: str) -> int:
    """How many examples of ``split`` may be kept."""
    if kind not in IN_FILES or not len(split):
        return MOST_PROBED
    sizes = [Path(path).stat().st_size for path in split.inputs[:: -(-len(split) // MOST_PROBED)]]
    return min(MOST_PROBED, max(1, int(MOST_BYTES / (sum(sizes) / len(sizes)))))


def thinned(split: Split, quota: Any) -> NDArray[np.intp]:
    """Of each class ``quota(its number of examples)`` rows, those with the smallest digests; in the order of the split."""
    order = np.argsort(np.array(list(split.digests), dtype=object), kind="stable")
    targets = split.targets
    found = [order[targets[order] == target][: quota(int((targets == target).sum()))] for target in np.unique(targets)]
    return np.sort(np.concatenate(found)) if found else np.empty(0, np.intp)


def _named(split: Split, classes: Sequence[str]) -> dict[str, Any]:
    return {"label": arrow.array([classes[int(target)] for target in split.targets], pa.string()), "digest": split.digests.column}


def _files(held: Kept) -> list[tuple[str, str, bytes]]:
    kind = next(name for name in IN_FILES if name in held.table.column_names)
    return [(kind, *row) for row in zip(held.digests, held.table.column(kind).to_pylist(), strict=True)]


def _file(folder: Path, kind: str, digest: str, content: bytes) -> str:
    path = folder / f"{digest}.{kind}"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(path)
