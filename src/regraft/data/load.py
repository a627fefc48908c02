"""From a reference to a data set: find the source, choose the columns, check every row, divide what is not divided yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from regraft.data import arrays, arrow, class_map, duplicates, several, sources, split
from regraft.data.dataset import Dataset, Progress, Rejected, Split, fingerprint, schema_of
from regraft.data.digests import Digests
from regraft.data.examples import Examples, collect
from regraft.data.field_rows import FieldRows, as_input
from regraft.data.mask_faults import fault
from regraft.data.mask_rows import Masked
from regraft.data.passages import Texts
from regraft.data.rows import Folders, Tables, of_source
from regraft.data.spool import Spool
from regraft.data.talk_rows import Talks
from regraft.data.targets import READERS, Learnt, Read, Reader
from regraft.data.targets.several import Column
from regraft.data.targets.several import reader as reader_of_several
from regraft.data.unknown import MODEL
from regraft.errors import DataError, suggest
from regraft.spec import FORMS, SPLITS, Form, Parts

Rows = Tables | Folders | Masked | Talks | Texts | FieldRows
Named = tuple[str, Form]
TaskLike = str | Named | tuple[Named, ...]
"""A task by name; one that does not come with the package by name and form; several, each by name and form, for as many targets."""
TOLERATED_SHARE = 0.01
NEAR_TEXTS = 300_000
NEAR_IMAGES = 50_000


def load(
    reference: str | Path,
    *,
    task: TaskLike | None = None,
    input: str | None = None,
    target: str | None = None,
    valid_fraction: float = 0.1,
    test_fraction: float = 0.2,
    allow_rejected: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """The data set at ``reference`` (see :mod:`regraft.data.sources` for what is understood).

    ``task``: a name in ``spec.FORMS``, or the name and form of another task; inferred if not given. ``input``, ``target``: columns of a table; ``target``
    names several for several tasks (``first,second``), ``input`` names two for a pair of texts (``first,second``), and may name the folder that relative image paths start from, as ``folder`` or ``column@folder``. ``valid_fraction``, ``test_fraction``: shares of the examples for
    splits that the data does not bring, 0 for none. ``allow_rejected``: accept that more than 1% of the rows cannot be used, and that valid or test
    hold labels that train does not have. Raises :class:`DataError`.
    """
    return load_more(reference, (), columns=(input, target), task=task, valid_fraction=valid_fraction, test_fraction=test_fraction,
                     allow_rejected=allow_rejected, progress=progress)  # fmt: skip


def load_more(
    reference: str | Path,
    known: Sequence[str],
    *,
    columns: tuple[str | None, str | None] = (None, None),
    task: TaskLike | None = None,
    valid_fraction: float = 0.1,
    test_fraction: float = 0.2,
    allow_rejected: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """The data set at ``reference`` for a model that has classes already: the ``known`` ones come first, and a single new one is enough.
    ``columns``: input and target; the rest as for :func:`load`."""
    split.check_fractions(valid_fraction, test_fraction)
    source = sources.resolve(reference)
    name, form = _asked(task)
    rows = of_source(source, form=form, input=columns[0], target=columns[1])
    name = name or _task_of(rows.form)
    reader = _reader(rows, _names(task))
    fractions = {split.VALID: valid_fraction, split.TEST: test_fraction}
    total = _num_files(rows)
    near = rows.form.kind == "image" and any(fractions.values()) and total <= NEAR_IMAGES and not _gives_all(rows, fractions)
    found = collect(rows.raws(), rows.form.kind, near=near, may_be_blank=reader.may_be_blank, progress=progress, total=total)
    found.legend = rows.legend
    _check_rejected(str(reference), found, [], allow_rejected)
    sides = class_map.sides(found)
    grows = known and rows.form.target == "class"
    learnt = Learnt(class_map.grown(found, sides, known, str(reference))) if grows else reader.learn(found, sides, str(reference))
    read = reader.read(found, sides, learnt, str(reference), allow_rejected)
    _check_rejected(str(reference), found, read.rejected, allow_rejected)
    carved = _carve(found, read, sides, learnt.classes, fractions, of_rows=isinstance(rows, FieldRows))
    if isinstance(rows, FieldRows):
        learnt = rows.learn(learnt, found.table.column("input"), sides)
    said = [*source.said, *rows.said, f"The task is {name}.", *learnt.said, *carved]
    return _dataset(str(reference), name, learnt=learnt, read=read, sides=sides, found=found, said=said, rows=rows)


def load_known(
    reference: str | Path,
    classes: Sequence[str],
    *,
    facts: Mapping[str, Any] | None = None,
    task: TaskLike | None = None,
    input: str | None = None,
    target: str | None = None,
    allow_rejected: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Labelled data to measure a model on that already has its ``classes`` and ``facts``: nothing is carved, one class may be all there is, and examples of no given
    split are ``test``. A label that is none of ``classes`` is an error, or (``allow_rejected``) listed. Otherwise as :func:`load`."""
    source = sources.resolve(reference)
    name, form = _asked(task)
    if form is not None and form.parts == "row" and facts:
        input = as_input(facts)
    rows = of_source(source, form=form, input=input, target=target)
    name = name or _task_of(rows.form)
    learnt = Learnt(tuple(classes), facts or {}, owner=MODEL)
    reader = _reader(rows, [one["task"] for one in learnt.facts.get("tasks", ())])
    found = collect(rows.raws(), rows.form.kind, near=False, may_be_blank=reader.may_be_blank, progress=progress, total=_num_files(rows))
    _check_rejected(str(reference), found, [], allow_rejected)
    sides = class_map.sides(found)
    sides[sides == split.UNDECIDED] = split.TEST
    read = reader.read(found, sides, learnt, str(reference), allow_rejected)
    _check_rejected(str(reference), found, read.rejected, allow_rejected)
    said = [*source.said, *rows.said, f"The task is {name}."]
    return _dataset(str(reference), name, learnt=learnt, read=read, sides=sides, found=found, said=said, rows=rows)


def task_of(reference: str | Path, *, input: str | None = None, target: str | None = None) -> str:
    """The task that the data at ``reference`` would be read as, were none asked for; only its columns and a sample are looked at."""
    return _task_of(of_source(sources.resolve(reference), form=None, input=input, target=target).form)


def _asked(task: TaskLike | None) -> tuple[str | None, Form | None]:
    """The name and the form of the task that is asked for; nothing where none is. Of several tasks: of all of them together."""
    if task is None:
        return None, None
    if isinstance(task, tuple):
        return _together(task) if isinstance(task[0], tuple) else task  # type: ignore[return-value]
    if task not in FORMS:
        raise DataError(f"--task {task}", "no such task for labelled data", suggest(task, FORMS))
    return task, FORMS[task]


def _together(tasks: tuple[Named, ...]) -> Named:
    """Raises ``DataError`` for tasks on different kinds of inputs."""
    inputs = {(form.kind, form.parts) for _, form in tasks}
    if len(inputs) > 1:
        raise DataError(
            f"--task {','.join(name for name, _ in tasks)}", "they are tasks on different kinds of inputs", "tasks on the same inputs"
        )
    ((kind, parts),) = inputs
    form = Form(kind, parts, "several", tuple(form.target for _, form in tasks))
    return _task_of(form), form


def _names(task: TaskLike | None) -> list[str]:
    """Of several tasks that are asked for, each."""
    return [name for name, _ in task] if isinstance(task, tuple) and isinstance(task[0], tuple) else []  # type: ignore[misc]


def _task_of(form: Form) -> str:
    return next(name for name, known in FORMS.items() if known == replace(form, of=()))


def _reader(rows: Rows, tasks: Sequence[str]) -> Reader:
    """``tasks``: the names of several, where they are not the ones of the package."""
    if rows.form.target != "several" or not isinstance(rows, Tables):
        return READERS[rows.form.target]
    names = several.tasks_of(rows.form, tasks)
    return reader_of_several([Column(*each) for each in zip(rows.columns.targets, names, rows.form.of, strict=True)])


def _gives_all(rows: Rows, fractions: dict[int, float]) -> bool:
    """Whether the names of files or folders already give every split that is wanted (a split column may still do so)."""
    return all(SPLITS[side] in rows.parts for side, fraction in fractions.items() if fraction)


def _check_rejected(reference: str, found: Examples, unread: list[Rejected], allow: bool) -> None:
    """``unread``: examples of ``found`` whose target could not be read."""
    total = found.table.num_rows + len(found.rejected)
    rejected = [*found.rejected, *unread]
    reasons = Counter(item.reason for item in rejected)
    listed = "; ".join(
        f"{reason} ({count:,}, first {next(r.where for r in rejected if r.reason == reason)})" for reason, count in reasons.most_common(3)
    )
    if found.table.num_rows == len(unread):
        raise DataError(
            f"read {reference}",
            f"not one usable example among {total:,}: {listed or 'no rows'}",
            "mend the data, or name the right columns with --input and --target",
        )
    if len(rejected) > TOLERATED_SHARE * total and not allow:
        share = len(rejected) / total
        raise DataError(
            f"read {reference}",
            f"{len(rejected):,} of {total:,} rows or files ({share:.1%}) cannot be used: {listed}",
            _advice(found, reasons.most_common(1)[0][0]),
        )


def _advice(found: Examples, reason: str) -> str:
    about_mask = fault(reason) if found.legend is not None else None
    return about_mask[1] if about_mask else "mend them, or accept it with --allow-rejected"


def _carve(
    found: Examples, read: Read, sides: np.ndarray, classes: tuple[str, ...], fractions: dict[int, float], *, of_rows: bool = False
) -> list[str]:
    """Give every undecided example its side, and carve missing splits out of train, both in ``sides``; says what was done."""
    targets, told = read.strata, list(classes) if read.column.type == arrays.CLASS else []
    undecided = bool(np.all(sides == split.UNDECIDED))
    wanted = split.missing(sides, fractions)
    pool = np.flatnonzero((targets >= 0) & (sides == (split.UNDECIDED if undecided else split.TRAIN)))
    if not wanted:
        sides[pool] = split.TRAIN
        return ["All examples are for training."] if undecided else ["Splits are as given."]
    groups = _equal(found, pool) if of_rows else _groups(found, pool)
    sides[pool] = split.carve(groups, targets[pool], wanted)
    names = " and ".join(f"{SPLITS[side]} ({fraction:.0%})" for side, fraction in sorted(wanted.items()))
    origin = "" if undecided else " out of train"
    said = [f"No {' or '.join(SPLITS[side] for side in sorted(wanted))} split is given: {names} carved{origin} by a hash of the content."]
    joined = int(np.sum(groups.first != np.arange(len(pool))))
    if joined:
        said.append(f"{joined:,} examples repeat or nearly repeat another and stay on its side.")
    if not groups.near and found.kind != "audio" and not of_rows:
        said.append("So many different examples that only equal ones are kept together; near duplicates are not looked for.")
    return said + split.remarks(sides[targets >= 0], targets[targets >= 0], told, wanted)


def _groups(found: Examples, pool: np.ndarray) -> duplicates.Groups:
    if found.kind == "text":
        texts = found.table.column("input")
        return duplicates.of_texts(
            texts if len(pool) == len(texts) else texts.take(arrow.array(pool)), limit=NEAR_TEXTS, jaccard=duplicates.SIDE_JACCARD
        )
    if len(found.dhash) != found.table.num_rows:
        return _equal(found, pool)
    return duplicates.of_images(_keys(found, pool), found.dhash[pool], found.thumbs[pool])


def _equal(found: Examples, pool: np.ndarray) -> duplicates.Groups:
    return duplicates.of_equal(_keys(found, pool))


def _keys(found: Examples, pool: np.ndarray) -> np.ndarray:
    return Digests(found.table.column("digest")).keys[pool]


def _dataset(
    reference: str,
    task: str,
    *,
    learnt: Learnt,
    read: Read,
    sides: np.ndarray,
    found: Examples,
    said: list[str],
    rows: Rows,
) -> Dataset:
    facts = learnt.facts if rows.form.target == "mask" or rows.form.parts == "row" else {}
    splits = _build(found.table, read, sides, rows.form.parts, facts)
    named = class_map.sides(found)
    given = tuple(name for side, name in enumerate(SPLITS) if np.any(named == side))
    rejected = [*found.rejected, *read.rejected]
    noted = [f"{len(rejected):,} rows or files could not be used; each is listed with its reason."] if rejected else []
    return Dataset(
        reference=reference,
        task=task,
        form=rows.form,
        classes=learnt.classes,
        splits=splits,
        fingerprint=fingerprint(task, learnt.classes, splits),
        said=(*said, *found.said, *noted),
        rejected=tuple(rejected),
        given_splits=given,
        empty_folders=() if isinstance(rows, Tables) else rows.empty,
        facts=learnt.facts,
    )


def _build(table: pa.Table, read: Read, sides: np.ndarray, parts: Parts, facts: Mapping[str, Any]) -> dict[str, Split]:
    """One table per side, batch by batch, so that a table on disk is never in memory as a whole."""
    schema, usable = schema_of(read.column.type), read.strata >= 0
    spools = {side: Spool(schema) for side in range(len(SPLITS))}
    at = 0
    for batch in table.to_batches():
        rows = slice(at, at + batch.num_rows)
        columns = [batch.column("input"), read.column.slice(at, batch.num_rows), batch.column("digest"), batch.column("where")]
        whole = pa.RecordBatch.from_arrays(columns, schema=schema)
        for side, spool in spools.items():
            spool.write(whole.filter(arrow.array(usable[rows] & (sides[rows] == side))))
        at = rows.stop
    tables = {SPLITS[side]: spool.table() for side, spool in spools.items()}
    return {name: Split(name, rows, parts, facts) for name, rows in tables.items() if rows.num_rows}


def _num_files(rows: Rows) -> int:
    return 0 if isinstance(rows, Tables) else rows.num_files
