"""From a reference to a data set: find the source, choose the columns, check every row, divide what is not divided yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from regraft.data import class_map, duplicates, sources, split
from regraft.data.dataset import SCHEMA, TASKS, Dataset, Progress, Rejected, Split, fingerprint
from regraft.data.examples import Examples, collect
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
    total = _num_files(rows)
    near = rows.kind == "image" and any(fractions.values()) and total <= NEAR_IMAGES and not _gives_all(rows, fractions)
    found = collect(rows.raws(), rows.kind, near=near, progress=progress, total=total)
    _check_rejected(str(reference), found, allow_rejected)
    sides = class_map.sides(found)
    given = tuple(name for side, name in enumerate(SPLITS) if np.any(sides == side))
    classes = class_map.learnt(found, sides, str(reference))
    targets, unknown = class_map.targets(found, sides, classes, str(reference), allow_rejected)
    said += _carve(found, targets, sides, classes, fractions)
    return _dataset(
        reference=str(reference),
        task=task,
        classes=classes,
        splits=_build(found.table, targets, sides),
        said=said,
        rejected=[*found.rejected, *unknown],
        given=given,
        rows=rows,
    )


def load_known(
    reference: str | Path,
    classes: Sequence[str],
    *,
    task: str | None = None,
    input: str | None = None,
    target: str | None = None,
    allow_rejected: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Labelled data to measure a model on that already has its ``classes``: nothing is carved, one class may be all there is, and examples of no given
    split are ``test``. A label that is none of ``classes`` is an error, or (``allow_rejected``) listed. Otherwise as :func:`load`."""
    source = sources.resolve(reference)
    rows = of_source(source, kind=_kind_of(task), input=input, target=target)
    task = _agreed_task(task, rows, str(reference))
    found = collect(rows.raws(), rows.kind, near=False, progress=progress, total=_num_files(rows))
    _check_rejected(str(reference), found, allow_rejected)
    sides = class_map.sides(found)
    given = tuple(name for side, name in enumerate(SPLITS) if np.any(sides == side))
    sides[sides == split.UNDECIDED] = split.TEST
    targets, unknown = class_map.targets(found, sides, tuple(classes), str(reference), allow_rejected)
    return _dataset(
        reference=str(reference),
        task=task,
        classes=tuple(classes),
        splits=_build(found.table, targets, sides),
        said=[*source.said, *rows.said, f"The task is {task}."],
        rejected=[*found.rejected, *unknown],
        given=given,
        rows=rows,
    )


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


def _carve(found: Examples, targets: np.ndarray, sides: np.ndarray, classes: tuple[str, ...], fractions: dict[int, float]) -> list[str]:
    """Give every undecided example its side, and carve missing splits out of train, both in ``sides``; says what was done."""
    undecided = bool(np.all(sides == split.UNDECIDED))
    wanted = split.missing(sides, fractions)
    pool = np.flatnonzero((targets >= 0) & (sides == (split.UNDECIDED if undecided else split.TRAIN)))
    if not wanted:
        sides[pool] = split.TRAIN
        return ["All examples are for training."] if undecided else ["Splits are as given."]
    groups = _groups(found, pool)
    sides[pool] = split.carve(groups, targets[pool], wanted)
    names = " and ".join(f"{SPLITS[side]} ({fraction:.0%})" for side, fraction in sorted(wanted.items()))
    origin = "" if undecided else " out of train"
    said = [f"No {' or '.join(SPLITS[side] for side in sorted(wanted))} split is given: {names} carved{origin} by a hash of the content."]
    joined = int(np.sum(groups.first != np.arange(len(pool))))
    if joined:
        said.append(f"{joined:,} examples repeat or nearly repeat another and stay on its side.")
    if not groups.near:
        said.append("So many different examples that only equal ones are kept together; near duplicates are not looked for.")
    return said + split.remarks(sides[targets >= 0], targets[targets >= 0], list(classes), wanted)


def _groups(found: Examples, pool: np.ndarray) -> duplicates.Groups:
    if found.kind == "text":
        return duplicates.of_texts(found.table.column("input").take(pa.array(pool)), limit=NEAR_TEXTS, jaccard=duplicates.SIDE_JACCARD)
    digests = found.table.column("digest").take(pa.array(pool)).to_pylist()
    key = np.array([int(text[:16], 16) for text in digests], np.uint64)
    if len(found.dhash) != found.table.num_rows:
        return duplicates.of_equal(key)
    return duplicates.of_images(key, found.dhash[pool], found.thumbs[pool])


def _dataset(
    *,
    reference: str,
    task: str,
    classes: tuple[str, ...],
    splits: dict[str, Split],
    said: list[str],
    rejected: list[Rejected],
    given: tuple[str, ...],
    rows: Tables | Folders,
) -> Dataset:
    noted = [f"{len(rejected):,} rows or files could not be used; each is listed with its reason."] if rejected else []
    return Dataset(
        reference=reference,
        task=task,
        kind=TASKS[task],
        classes=classes,
        splits=splits,
        fingerprint=fingerprint(task, classes, splits),
        said=(*said, *noted),
        rejected=tuple(rejected),
        given_splits=given,
        empty_folders=rows.empty if isinstance(rows, Folders) else (),
    )


def _build(table: pa.Table, targets: np.ndarray, sides: np.ndarray) -> dict[str, Split]:
    """One table per side, batch by batch, so that a table on disk is never in memory as a whole."""
    spools = {side: Spool(SCHEMA) for side in range(len(SPLITS))}
    at = 0
    for batch in table.to_batches():
        rows = slice(at, at + batch.num_rows)
        columns = [batch.column("input"), pa.array(targets[rows]), batch.column("digest"), batch.column("where")]
        whole = pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
        for side, spool in spools.items():
            spool.write(whole.filter(pa.array((targets[rows] >= 0) & (sides[rows] == side))))
        at = rows.stop
    tables = {SPLITS[side]: spool.table() for side, spool in spools.items()}
    return {name: Split(name, rows) for name, rows in tables.items() if rows.num_rows}


def _num_files(rows: Tables | Folders) -> int:
    return rows.num_files if isinstance(rows, Folders) else 0
