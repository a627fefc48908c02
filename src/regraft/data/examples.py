"""From raw rows to examples: every row is either usable, with a digest of its content, or listed with the reason why not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from regraft import digest
from regraft.data import arrow
from regraft.data.dataset import Progress, Rejected
from regraft.data.legend import Legend
from regraft.data.listen import Sound, hear, said_of
from regraft.data.look import THUMB, Look, each, glance, study
from regraft.data.masks import MaskLook
from regraft.data.names import split_of
from regraft.data.split import UNDECIDED
from regraft.data.spool import Spool
from regraft.spec import SPLITS

SCHEMA = pa.schema([("input", pa.string()), ("target", pa.int64()), ("digest", pa.string()), ("where", pa.string()), ("side", pa.int8())])


@dataclass(slots=True)
class Raw:
    """Some rows of one source, as lists of equal length: the input (text, or path of an image or sound), the label, where they stand and the split that
    was given for them (``""``: none). ``rejected``: what the source could not even make a row of."""

    inputs: list[str | None]
    labels: list[str | None]
    where: list[str]
    splits: list[str]
    rejected: list[Rejected] = field(default_factory=list)


@dataclass(slots=True)
class Examples:
    """``table``: of :data:`SCHEMA`, ``target`` being an index into ``labels`` (in order of appearance) and ``side`` one of split.TRAIN, VALID, TEST or
    UNDECIDED. ``dhash`` (n,) uint64 and ``thumbs`` (n, 16, 16) uint8 are there for images that were studied. ``legend``: what the source says of the
    values in masks; ``looks``: at each of ``labels``, once somebody has looked (masks). ``said``: what the files have in common, as sentences."""

    kind: str
    table: pa.Table
    labels: list[str]
    rejected: list[Rejected]
    dhash: np.ndarray
    thumbs: np.ndarray
    legend: Legend | None = None
    looks: list[MaskLook] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def collect(
    raws: Iterable[Raw], kind: str, *, near: bool, may_be_blank: bool = False, progress: Progress | None = None, total: int = 0
) -> Examples:
    """Check and digest every row. ``near``: also look at every image closely enough to find near duplicates. ``may_be_blank``: labels."""
    spool = Spool(SCHEMA)
    labels: dict[str, int] = {}
    rejected: list[Rejected] = []
    dhash: list[int] = []
    thumbs: list[np.ndarray] = []
    sounds: list[Sound] = []
    done = 0
    for raw in raws:
        rejected += raw.rejected
        kept: list[tuple[str | None, int, str, str, int]] = []
        looks = _looks(raw, near) if kind == "image" else _sounds(raw, sounds) if kind == "audio" else map(_read, raw.inputs)
        for text, label, where, given, seen in zip(raw.inputs, raw.labels, raw.where, raw.splits, looks, strict=True):
            fault = seen.fault or _fault(label, given, may_be_blank)
            if fault:
                rejected.append(Rejected(where, fault, split_of(given) or ""))
                continue
            side = SPLITS.index(split_of(given) or "") if given else UNDECIDED
            kept.append((text, labels.setdefault(label or "", len(labels)), seen.digest, where, side))
            if seen.thumb is not None:
                dhash.append(seen.dhash)
                thumbs.append(seen.thumb)
        columns = zip(*kept, strict=True) if kept else [()] * len(SCHEMA)
        spool.write(
            pa.RecordBatch.from_arrays(
                [arrow.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA
            )
        )
        done += len(raw.inputs)
        if progress:
            progress("reading", done, total)
    grey = np.stack(thumbs) if thumbs else np.zeros((0, THUMB, THUMB), np.uint8)
    return Examples(kind, spool.table(), list(labels), rejected, np.array(dhash, np.uint64), grey, said=said_of(sounds))


def _read(text: str | None) -> Look:
    """``isspace`` counts the separator of parts as a space: a pair of nothing is nothing."""
    return Look("", digest.of_text(text)) if text and not text.isspace() else Look("empty text")


def _looks(raw: Raw, near: bool) -> Iterator[Look]:
    looks = each(study if near else glance, [path for path in raw.inputs if path])
    return (next(looks) if path else Look("no path") for path in raw.inputs)


def _sounds(raw: Raw, found: list[Sound]) -> Iterator[Look]:
    """What is heard is added to ``found``."""
    heard = each(hear, [path for path in raw.inputs if path])
    for path in raw.inputs:
        sound = next(heard) if path else Sound("no path")
        found.append(sound)
        yield Look(sound.fault, sound.digest)


def _fault(label: str | None, given: str, may_be_blank: bool) -> str:
    if label is None or not (label.strip() or may_be_blank):
        return "no label"
    return "" if not given or split_of(given) else f"split {given!r} is none of train, valid, test"
