"""A data set that is ready to be encoded: splits of Arrow tables with one class map, and everything that was inferred or could not be used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from regraft import digest
from regraft.spec import SPLITS, InputKind

TASKS: dict[str, InputKind] = {"text-classification": "text", "image-classification": "image"}
SCHEMA = pa.schema([("input", pa.string()), ("target", pa.int64()), ("digest", pa.string()), ("where", pa.string())])
Progress = Callable[[str, int, int], None]
"""Called as (what is being done, how many are done, how many there are; 0 where that is not known)."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """What could not be used: ``where`` (file and row, or path), why, and the split it would have been in, if that was given."""

    where: str
    reason: str
    split: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """The examples of one split, as the columns of ``table``.

    ``input``: text, or absolute path of an image; ``target``: int64 index into the data set's classes; ``digest``: SHA-256 in hex of the text or of the
    file's bytes; ``where``: file and row (rows as a spreadsheet counts them, the header being 1), or path within the data set.
    """

    name: str
    table: pa.Table

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def inputs(self) -> list[str]:
        return self.table.column("input").to_pylist()

    @property
    def targets(self) -> np.ndarray:
        """(n,) int64."""
        return self.table.column("target").to_numpy()

    @property
    def digests(self) -> list[str]:
        return self.table.column("digest").to_pylist()

    def where(self, row: int) -> str:
        return self.table.column("where")[row].as_py()

    def take(self, rows: np.ndarray | list[int]) -> Split:
        """The same split with only these rows, in this order."""
        return Split(self.name, self.table.take(pa.array(rows, pa.int64())))


@dataclass(frozen=True, slots=True)
class Dataset:
    """``classes``: names in order; the index is the target, the same in all splits. ``splits``: in the order train, valid, test, without those that
    do not exist. ``fingerprint``: see :func:`fingerprint`. ``said``: what was found, inferred and left out, as sentences. ``given_splits``: splits that
    came with the data (the others were carved). ``empty_folders``: class folders without a usable file."""

    reference: str
    task: str
    kind: InputKind
    classes: tuple[str, ...]
    splits: dict[str, Split]
    fingerprint: str
    said: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    given_splits: tuple[str, ...] = ()
    empty_folders: tuple[str, ...] = ()

    @property
    def num_examples(self) -> int:
        return sum(len(split) for split in self.splits.values())

    def counts(self, split: str) -> dict[str, int]:
        """Examples per class, in the order of ``classes``."""
        counted = np.bincount(self.splits[split].targets, minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counted, strict=True)}


def fingerprint(task: str, classes: tuple[str, ...], splits: dict[str, Split]) -> str:
    """SHA-256 in hex over task, class names, and every split's contents and targets, row by row. Where the files lie does not count. The order of rows
    does: batches are drawn and cached activations are kept by row."""
    contents: dict[str, str] = {}
    for name in SPLITS:
        if name in splits:
            hasher = hashlib.sha256()
            for batch in splits[name].table.select(["digest", "target"]).to_batches():
                hasher.update("".join(batch.column("digest").to_pylist()).encode())
                hasher.update(batch.column("target").to_numpy().astype("<i8").tobytes())
            contents[name] = hasher.hexdigest()
    return digest.of_json({"task": task, "classes": list(classes), "splits": contents})
