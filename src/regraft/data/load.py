"""From a reference to a data set: find the source, choose the columns, check every row, divide what is not divided yet."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from regraft.data import duplicates, sources, split
from regraft.data.dataset import SCHEMA, TASKS, Dataset, Progress, Rejected, Split, fingerprint
from regraft.data.examples import Examples, collect
from regraft.data.names import folded, in_order
from regraft.data.rows import Folders, Tables, of_source
from regraft.data.spool import Spool
from regraft.errors import DataError, suggest
from regraft.spec import SPLITS

TOLERATED_SHARE = 0.01
NEAR_TEXTS = 300_000
NEAR_IMAGES = 50_000


def load(
    reference: str | Path,
    *,
    task: str | None = None,
    input: str | None = None,
    target: str | None = None,
    valid_fraction: float = 0.1,
    test_fraction: float = 0.2,
    allow_rejected: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """The data set at ``reference`` (see :mod:`regraft.data.sources` for what is understood).

    ``task``: ``text-classification`` or ``image-classification``; inferred if not given. ``input``, ``target``: columns of a table; ``input`` may name the
    folder that relative image paths start from, as ``folder`` or ``column@folder``. ``valid_fraction``, ``test_fraction``: shares of the examples for
    splits that the data does not bring, 0 for none. ``allow_rejected``: accept that more than 1% of the rows cannot be used, and that valid or test
    hold labels that train does not have. Raises :class:`DataError`.
    """
    split.check_fractions(valid_fraction, test_fraction)
    source = sources.resolve(reference)
    rows = of_source(source, kind=_kind_of(task), input=input, target=target)
    task = _agreed_task(task, rows, str(reference))
    said = [*source.said, *rows.said, f"The task is {task}."]
    fractions = {split.VALID: valid_fraction, split.TEST: test_fraction}
    total = rows.num_files if isinstance(rows, Folders) else 0
    near = rows.kind == "image" and any(fractions.values()) and total <= NEAR_IMAGES and not _gives_all(rows, fractions)
    found = collect(rows.raws(), rows.kind, near=near, progress=progress, total=total)
    _check_rejected(str(reference), found, allow_rejected)
    sided = _Sided.of(found, str(reference), allow_rejected)
    given = tuple(name for side, name in enumerate(SPLITS) if np.any(sided.sides == side))
    said += _carve(sided, found, rows.kind, fractions)
    splits = _build(found.table, sided)
    if sided.rejected:
        said.append(f"{len(sided.rejected):,} rows or files could not be used; each is listed with its reason.")
    return Dataset(
        reference=str(reference),
        task=task,
        kind=TASKS[task],
        classes=sided.classes,
        splits=splits,
        fingerprint=fingerprint(task, sided.classes, splits),
        said=tuple(said),
        rejected=tuple(sided.rejected),
        given_splits=given,
        empty_folders=rows.empty if isinstance(rows, Folders) else (),
    )


@dataclass(slots=True)
class _Sided:
    """Examples with final targets and sides. ``keep``: (n,) False for examples that were rejected because of their label."""

    classes: tuple[str, ...]
    targets: np.ndarray
    sides: np.ndarray
    keep: np.ndarray
    rejected: list[Rejected]

    @classmethod
    def of(cls, found: Examples, reference: str, allow_rejected: bool) -> _Sided:
        codes = found.table.column("target").to_numpy()
        sides = found.table.column("side").to_numpy().copy()
        decided = np.any(sides != split.UNDECIDED)
        learnt = sides == split.TRAIN if decided else np.ones(len(sides), bool)
        if not learnt.any():
            given = ", ".join(SPLITS[side] for side in np.unique(sides)) or "nothing"
            raise DataError(
                f"read {reference}",
                f"no training example, only {given}",
                "name a split train, or give the file by itself to have it divided",
            )
        classes = tuple(in_order(found.labels[code] for code in np.unique(codes[learnt])))
        if len(classes) < 2:
            raise DataError(
                f"read {reference}",
                f"one class only: {classes[0]!r}",
                "classification needs at least two classes; --target names another column",
            )
        known = {name: index for index, name in enumerate(classes)}
        targets = np.array([known.get(label, -1) for label in found.labels], np.int64)[codes]
        rejected = [*found.rejected, *_unknown(found, targets, sides, classes, reference, allow_rejected)]
        return cls(classes, targets, sides, targets >= 0, rejected)


def _unknown(
    found: Examples, targets: np.ndarray, sides: np.ndarray, classes: tuple[str, ...], reference: str, allow: bool
) -> list[Rejected]:
    """Examples whose label train does not have: an error, or (``allow``) listed."""
    rows = np.flatnonzero(targets < 0)
    if not len(rows):
        return []
    codes = found.table.column("target").take(pa.array(rows)).to_pylist()
    labels = [found.labels[code] for code in codes]
    if not allow:
        counts = Counter((SPLITS[sides[row]], label) for row, label in zip(rows, labels, strict=True))
        listed = "; ".join(f"{label!r} ({count} in {name})" for (name, label), count in counts.most_common(5))
        more = f" and {len(counts) - 5} more" if len(counts) > 5 else ""
        raise DataError(
            f"one class map for all splits of {reference}", f"labels that train does not have: {listed}{more}", _twin(counts, classes)
        )
    where = found.table.column("where").take(pa.array(rows)).to_pylist()
    return [
        Rejected(place, f"label {label!r} is not in train", SPLITS[sides[row]])
        for place, label, row in zip(where, labels, rows, strict=True)
    ]


def _twin(counts: Counter[tuple[str, str]], classes: tuple[str, ...]) -> str:
    """Advice for unknown labels: those that differ from a class only in case or spaces, and those that are several classes in one cell, are named."""
    known = {folded(name): name for name in classes}
    unknown = [label for _, label in counts]
    twins = [f"{label!r} as {known[folded(label)]!r}" for label in unknown if folded(label) in known]
    if twins:
        return f"write {', '.join(twins[:5])}: they differ only by case, spaces or hyphens"
    if all(len(parts) > 1 and set(parts) <= set(classes) for parts in (re.split(r"\s*[|,;]\s*", label) for label in unknown)):
        return "one label per row: several labels for one example are not read by this version"
    near = suggest(unknown[0], classes) if len(classes) <= 20 else "give train examples of them, or mend the labels"
    return f"{near}; to go on without these rows: --allow-rejected"


def _kind_of(task: str | None) -> str | None:
    if task is not None and task not in TASKS:
        raise DataError(f"--task {task}", "no such task for labelled data", suggest(task, TASKS))
    return TASKS[task] if task else None


def _agreed_task(task: str | None, rows: Tables | Folders, reference: str) -> str:
    inferred = next(name for name, kind in TASKS.items() if kind == rows.kind)
    if task is not None and task != inferred:
        raise DataError(
            f"--task {task} with {reference}", f"the data looks like {inferred}", "leave --task out, or name the right column with --input"
        )
    return inferred


def _gives_all(rows: Tables | Folders, fractions: dict[int, float]) -> bool:
    """Whether the names of files or folders already give every split that is wanted (a split column may still do so)."""
    parts = rows.files if isinstance(rows, Tables) else rows.folders
    return all(SPLITS[side] in parts for side, fraction in fractions.items() if fraction)


def _check_rejected(reference: str, found: Examples, allow: bool) -> None:
    total = found.table.num_rows + len(found.rejected)
    reasons = Counter(item.reason for item in found.rejected).most_common(3)
    listed = "; ".join(
        f"{reason} ({count:,}, first {next(r.where for r in found.rejected if r.reason == reason)})" for reason, count in reasons
    )
    if not found.table.num_rows:
        raise DataError(
            f"read {reference}",
            f"not one usable example among {total:,}: {listed or 'no rows'}",
            "mend the data, or name the right columns with --input and --target",
        )
    if len(found.rejected) > TOLERATED_SHARE * total and not allow:
        share = len(found.rejected) / total
        raise DataError(
            f"read {reference}",
            f"{len(found.rejected):,} of {total:,} rows or files ({share:.1%}) cannot be used: {listed}",
            "mend them, or accept it with --allow-rejected",
        )


def _carve(sided: _Sided, found: Examples, kind: str, fractions: dict[int, float]) -> list[str]:
    """Give every undecided example its side, and carve missing splits out of train; says what was done."""
    undecided = not np.any(sided.sides != split.UNDECIDED)
    wanted = split.missing(sided.sides, fractions)
    pool = np.flatnonzero(sided.keep & (sided.sides == (split.UNDECIDED if undecided else split.TRAIN)))
    if not wanted:
        sided.sides[pool] = split.TRAIN
        return ["Splits are as given."] if not undecided else []
    groups = _groups(found, pool, kind)
    sided.sides[pool] = split.carve(groups, sided.targets[pool], wanted)
    names = " and ".join(f"{SPLITS[side]} ({fraction:.0%})" for side, fraction in sorted(wanted.items()))
    origin = "" if undecided else " out of train"
    said = [f"No {' or '.join(SPLITS[side] for side in sorted(wanted))} split is given: {names} carved{origin} by a hash of the content."]
    joined = int(np.sum(groups.first != np.arange(len(pool))))
    if joined:
        said.append(f"{joined:,} examples repeat or nearly repeat another and stay on its side.")
    if not groups.near:
        said.append(
            f"More than {NEAR_TEXTS if kind == 'text' else NEAR_IMAGES:,} different examples: only equal ones are kept together, near duplicates are not looked for."
        )
    return said + split.remarks(sided.sides[sided.keep], sided.targets[sided.keep], list(sided.classes), wanted)


def _groups(found: Examples, pool: np.ndarray, kind: str) -> duplicates.Groups:
    if kind == "text":
        return duplicates.of_texts(found.table.column("input").take(pa.array(pool)), limit=NEAR_TEXTS, jaccard=duplicates.SIDE_JACCARD)
    digests = found.table.column("digest").take(pa.array(pool)).to_pylist()
    key = np.array([int(text[:16], 16) for text in digests], np.uint64)
    if len(found.dhash) != found.table.num_rows:
        return duplicates.of_equal(key)
    return duplicates.of_images(key, found.dhash[pool], found.thumbs[pool])


def _build(table: pa.Table, sided: _Sided) -> dict[str, Split]:
    """One table per side, batch by batch, so that a table on disk is never in memory as a whole."""
    spools = {side: Spool(SCHEMA) for side in range(len(SPLITS))}
    at = 0
    for batch in table.to_batches():
        end = at + batch.num_rows
        columns = [batch.column("input"), pa.array(sided.targets[at:end]), batch.column("digest"), batch.column("where")]
        whole = pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
        for side, spool in spools.items():
            spool.write(whole.filter(pa.array(sided.keep[at:end] & (sided.sides[at:end] == side))))
        at = end
    tables = {SPLITS[side]: spool.table() for side, spool in spools.items()}
    return {name: Split(name, rows) for name, rows in tables.items() if rows.num_rows}
