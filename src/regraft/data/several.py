"""Several tasks on the same inputs: which columns are their targets, and one of the tasks by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from regraft.data import arrays, arrow, columns, forms
from regraft.data.columns import Columns, Rows
from regraft.data.dataset import Dataset, Split, fingerprint, schema_of
from regraft.data.targets.several import BESIDE, blocks, widths
from regraft.errors import DataError, suggest
from regraft.spec import FORMS, Form, Target


def choose(rows: Rows, where: str, *, input: str | None, target: str | None, form: Form | None) -> Columns:
    """As ``columns.choose``; a ``target`` of several names, with commas between them, makes a task of several."""
    names = columns.named_targets(rows, target)
    wanted = form is not None and form.target == "several"
    if len(names) < 2 and not wanted:
        return columns.choose(rows, where, input=input, target=target, form=form)
    if len(names) < 2 or (form is not None and not wanted):
        found = "one task for several targets" if len(names) > 1 else f"several tasks, and {'one target' if names else 'no targets named'}"
        raise DataError(
            f"--target {target} in {where}", found, "as many tasks as targets: --target first,second, and --task for both or left out"
        )
    if unknown := [name for name in names if name not in rows]:
        raise DataError(
            f"--target {target} in {where}", f"no column {unknown[0]!r}; the columns are {', '.join(rows)}", suggest(unknown[0], rows)
        )
    rest = {name: values for name, values in rows.items() if name not in names[1:]}
    plain = None if form is None else Form(form.kind, form.parts)
    chosen = columns.choose(rest, where, input=input, target=names[0], form=plain)
    kinds = tuple(form.of) if form is not None and form.of else tuple(forms.target_in(rows[name]) for name in names)
    if len(kinds) != len(names):
        raise DataError(
            f"--target {target} in {where}", f"{len(names)} targets for {len(kinds)} tasks", "a task for each, in the same order"
        )
    if chosen.form.target not in BESIDE:
        raise DataError(
            f"learn {names[0]!r} beside other tasks", f"its targets are {chosen.form.target}", "regraft tune for that task alone"
        )
    said = tuple(sentence for sentence in chosen.said if not sentence.startswith("Column " + repr(names[0])))
    return replace(chosen, target=",".join(names), form=Form(chosen.form.kind, chosen.form.parts, "several", kinds), said=said)


def tasks_of(form: Form, given: Sequence[str]) -> list[str]:
    """The names of the tasks behind the targets of ``form``: those ``given``, else the ones of the package. Raises ``DataError`` where there is none."""
    return list(given) or [_task_of(Form(form.kind, form.parts, target)) for target in form.of]


def _task_of(form: Form) -> str:
    name = next((name for name, known in FORMS.items() if known == form), None)
    if name is None:
        what = "pairs of texts" if form.parts == "pair" else f"{form.kind} inputs"
        raise DataError(
            f"a task of {form.target} targets on {what}", "no such task comes with the package", "leave that column out of --target"
        )
    return name


ALONE: dict[Target, pa.DataType] = {"class": arrays.CLASS, "level": arrays.CLASS, "number": arrays.NUMBER}


def labelled(targets: np.ndarray, block: slice) -> np.ndarray:
    """The rows of ``targets`` (n, m) that have a target of the task whose numbers stand in ``block``."""
    return np.flatnonzero(~np.isnan(targets[:, block]).any(axis=1))


def own(targets: np.ndarray, block: slice, target: Target) -> np.ndarray:
    """``targets`` (n, m) of the task in ``block`` as the task by itself has them; every row must have one."""
    if target == "set":
        return targets[:, block]
    return targets[:, block.start] if target == "number" else targets[:, block.start].astype(np.int64)


def alone(dataset: Dataset, name: str) -> Dataset:
    """The task called ``name`` by itself: the examples that have its target, in the same splits and order."""
    place = dataset.classes.index(name)
    task, target = dataset.facts["tasks"][place], dataset.form.of[place]
    block = blocks(widths(dataset.facts["tasks"], dataset.form.of))[place]
    classes = tuple(task["classes"])
    splits = {key: _split(split, block, target) for key, split in dataset.splits.items()}
    splits = {key: split for key, split in splits.items() if len(split)}
    return replace(
        dataset, task=task["task"], form=Form(dataset.form.kind, dataset.form.parts, target), classes=classes, splits=splits,
        facts=dict(task["facts"]), fingerprint=fingerprint(task["task"], classes, splits),
    )  # fmt: skip


def _split(split: Split, block: slice, target: Target) -> Split:
    rows = labelled(split.targets, block)
    table = split.table.take(arrow.array(rows, pa.int64()))
    values = own(split.targets[rows], block, target)
    if target == "set":
        kind = arrays.set_of(values.shape[1])
        column = pa.FixedSizeListArray.from_arrays(arrow.array(np.ascontiguousarray(values).reshape(-1), pa.float32()), values.shape[1])
    else:
        kind = ALONE[target]
        column = arrow.array(values).cast(kind)
    columns_ = [table.column("input"), column, table.column("digest"), table.column("where")]
    return Split(split.name, pa.Table.from_arrays(columns_, schema=schema_of(kind)), split.parts)
