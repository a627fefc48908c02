"""A data set that is ready to be encoded: splits of Arrow tables with one class map, and everything that was inferred or could not be used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from regraft import digest
from regraft.data import arrays, arrow
from regraft.data.digests import Digests
from regraft.spec import SPLITS, Form, InputKind, Parts, Target


def schema_of(target: pa.DataType) -> pa.Schema:
    """The columns of a split whose targets are of this type (:mod:`regraft.data.arrays`)."""
    return pa.schema([("input", pa.string()), ("target", target), ("digest", pa.string()), ("where", pa.string())])


SCHEMA = schema_of(arrays.CLASS)
"""Of a classification task."""
OUTPUTS: dict[Target, str] = {
    "class": "{} classes", "level": "{} levels", "number": "a number", "set": "{} labels", "tags": "{} tags", "mask": "{} classes of pixels", "transcript": "{} characters", "text": "the next token", "preference": "the better of two answers", "several": "{} tasks",
}  # fmt: skip
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

    ``input``: text (its parts, if there are several, joined by ``spec.PART``), or absolute path of an image or sound; ``target``: in the form that
    the task reads (:mod:`regraft.data.arrays`), for classification an int64 index into the data set's classes; ``digest``: SHA-256 in hex of the
    text or of the file's bytes; ``where``: file and row (rows as a spreadsheet counts them, the header being 1), or path within the data set.
    ``facts``: those of the data set, where reading a target (masks) or an input (rows of a table) takes them.
    """

    name: str
    table: pa.Table
    parts: Parts = "one"
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def inputs(self) -> list[str]:
        return self.table.column("input").to_pylist()

    @property
    def targets(self) -> np.ndarray:
        """(n,) int64 classes, (n,) float32 numbers, (n, k) float32 sets, or (n,) objects: the tags of each sentence, path and digest of each mask."""
        return arrays.of_column(self.table.column("target"))

    @property
    def digests(self) -> Digests:
        return Digests(self.table.column("digest"))

    def where(self, row: int) -> str:
        return self.table.column("where")[row].as_py()

    def take(self, rows: np.ndarray | list[int]) -> Split:
        """The same split with only these rows, in this order."""
        return Split(self.name, self.table.take(arrow.array(rows, pa.int64())), self.parts, self.facts)


def unlabelled(inputs: Sequence[str], form: Form, num_classes: int, facts: Mapping[str, Any] | None = None) -> Split:
    """A split of ``inputs`` to be answered, without targets that mean anything. ``facts``: of the task; rows of a table are read by them."""
    given = list(inputs)
    columns = [
        arrow.array(given, pa.string()),
        arrays.blank(form, given, num_classes),
        arrow.array([""] * len(given), pa.string()),
        arrow.array(given, pa.string()),
    ]
    target = columns[1].type
    read_by = dict(facts or {}) if form.parts == "row" else {}
    return Split("predict", pa.Table.from_arrays(columns, schema=schema_of(target)), form.parts, read_by)


@dataclass(frozen=True, slots=True)
class Dataset:
    """``form``: what the examples of the task look like. ``classes``: names in order; the index is the target, the same in all splits. ``splits``: in
    the order train, valid, test, without those that do not exist. ``fingerprint``: see :func:`fingerprint`. ``said``: what was found, inferred and
    left out, as sentences. ``given_splits``: splits that came with the data (the others were carved). ``empty_folders``: class folders without a usable
    file. ``facts``: what else the task has to know to read a target or an answer (JSON: the mean of numbers, the scheme of tags)."""

    reference: str
    task: str
    form: Form
    classes: tuple[str, ...]
    splits: dict[str, Split]
    fingerprint: str
    said: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    given_splits: tuple[str, ...] = ()
    empty_folders: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> InputKind:
        return self.form.kind

    @property
    def outputs(self) -> str:
        """What is told apart, or predicted, in words: 77 classes."""
        return OUTPUTS[self.form.target].format(len(self.classes))

    @property
    def num_examples(self) -> int:
        return sum(len(split) for split in self.splits.values())

    def counts(self, split: str) -> dict[str, int]:
        """Examples (of tags: words) per class, in the order of ``classes``; nothing where targets are numbers or masks. Of several tasks: those that
        have a target of each."""
        if self.form.target == "several":
            return self._labelled(self.splits[split].targets)
        counted = arrays.counts(self.splits[split].targets, len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counted, strict=True)} if counted is not None else {}

    def _labelled(self, targets: np.ndarray) -> dict[str, int]:
        sizes = [len(task["classes"]) if kind == "set" else 1 for task, kind in zip(self.facts["tasks"], self.form.of, strict=True)]
        first = np.cumsum([0, *sizes[:-1]])
        return {name: int((~np.isnan(targets[:, at])).sum()) for name, at in zip(self.classes, first, strict=True)}


def fingerprint(task: str, classes: tuple[str, ...], splits: dict[str, Split]) -> str:
    """SHA-256 in hex over task, class names, and every split's contents and targets, row by row. Where the files lie does not count. The order of rows
    does: batches are drawn and cached activations are kept by row."""
    contents: dict[str, str] = {}
    for name in SPLITS:
        if name in splits:
            hasher = hashlib.sha256()
            for batch in splits[name].table.select(["digest", "target"]).to_batches():
                hasher.update("".join(batch.column("digest").to_pylist()).encode())
                hasher.update(arrays.as_bytes(batch.column("target")))
            contents[name] = hasher.hexdigest()
    return digest.of_json({"task": task, "classes": list(classes), "splits": contents})
