"""From raw rows to examples: every row is either usable, with a digest of its content, or listed with the reason why not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from regraft import digest
from regraft.data.dataset import Progress, Rejected
from regraft.data.look import THUMB, Look, each, glance
from regraft.data.names import split_of
from regraft.data.split import UNDECIDED
from regraft.data.spool import Spool
from regraft.spec import SPLITS

SCHEMA = pa.schema([("input", pa.string()), ("target", pa.int64()), ("digest", pa.string()), ("where", pa.string()), ("side", pa.int8())])


@dataclass(slots=True)
class Raw:
    """Some rows of one source, as lists of equal length: the input (text, or path of an image), the label, where they stand and the split that
    was given for them (``""``: none). ``rejected``: what the source could not even make a row of."""

    inputs: list[str | None]
    labels: list[str | None]
    where: list[str]
    splits: list[str]
    rejected: list[Rejected] = field(default_factory=list)


@dataclass(slots=True)
class Examples:
    """``table``: of :data:`SCHEMA`, ``target`` being an index into ``labels`` (in order of appearance) and ``side`` one of split.TRAIN, VALID, TEST or
    UNDECIDED. ``dhash`` (n,) uint64 and ``thumbs`` (n, 16, 16) uint8 are there for images that were studied."""

    table: pa.Table
    labels: list[str]
    rejected: list[Rejected]
    dhash: np.ndarray
    thumbs: np.ndarray


def collect(raws: Iterable[Raw], kind: str, *, study: bool, progress: Progress | None = None, total: int = 0) -> Examples:
    """Check and digest every row. ``study``: also look at every image closely enough to find near duplicates."""
    spool = Spool(SCHEMA)
    labels: dict[str, int] = {}
    rejected: list[Rejected] = []
    dhash: list[int] = []
    thumbs: list[np.ndarray] = []
    done = 0
    for raw in raws:
        rejected += raw.rejected
        kept: dict[str, list] = {name: [] for name in SCHEMA.names}
        contents = _images(raw, study) if kind == "image" else _texts(raw)
        for index, (fault, content_digest, look) in enumerate(contents):
            side, fault = _side(raw.splits[index], fault)
            label = raw.labels[index]
            if not fault and (label is None or not label.strip()):
                fault = "no label"
            if fault:
                rejected.append(Rejected(raw.where[index], fault, split_of(raw.splits[index]) or ""))
                continue
            row = (raw.inputs[index], labels.setdefault(str(label), len(labels)), content_digest, raw.where[index], side)
            for column, value in zip(kept.values(), row, strict=True):
                column.append(value)
            if look is not None and look.thumb is not None:
                dhash.append(look.dhash)
                thumbs.append(look.thumb)
        spool.write(pa.RecordBatch.from_pydict(kept, SCHEMA))
        done += len(raw.inputs)
        if progress:
            progress("reading", done, total)
    grey = np.stack(thumbs) if thumbs else np.zeros((0, THUMB, THUMB), np.uint8)
    return Examples(spool.table(), list(labels), rejected, np.array(dhash, np.uint64), grey)


def _texts(raw: Raw) -> Iterator[tuple[str, str, Look | None]]:
    for text in raw.inputs:
        if text is None or not text.strip():
            yield "empty text", "", None
        else:
            yield "", digest.of_bytes(text.encode()), None


def _images(raw: Raw, study: bool) -> Iterator[tuple[str, str, Look | None]]:
    present = [path for path in raw.inputs if path]
    looks = each(study if study else glance, present)
    for path in raw.inputs:
        look = next(looks) if path else Look("no path")
        yield look.fault, look.digest, look


def _side(given: str, fault: str) -> tuple[int, str]:
    if not given:
        return UNDECIDED, fault
    split = split_of(given)
    if split is None:
        return UNDECIDED, fault or f"split {given!r} is none of train, valid, test"
    return SPLITS.index(split), fault
