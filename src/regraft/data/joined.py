"""Several data sets as one, each with a task of its own: ``reviews.csv + topics.csv``. An example has the target of the set that it comes from.

An input that is in the test split of one of them is a test input in all: what the trunk learned from it for one task would help it at the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from regraft.data import arrays, arrow
from regraft.data.dataset import Dataset, Rejected, Split, fingerprint, schema_of
from regraft.data.targets.several import BESIDE, blocks, widths
from regraft.errors import DataError
from regraft.spec import FORMS, SPLITS, Form

BETWEEN = " + "


def references(reference: str) -> list[str]:
    """The data sets that ``reference`` names: one, or several with ``+`` between them."""
    parts = [part.strip() for part in reference.split(BETWEEN)]
    return parts if len(parts) > 1 and all(parts) and not Path(reference).exists() else [reference]


def names_of(given: Sequence[str]) -> list[str]:
    """What the tasks are called: the stems of the references, with a number where two are the same."""
    stems = [Path(one.rstrip("/")).stem for one in given]
    return [stem if stems.count(stem) == 1 else f"{stem}-{place}" for place, stem in enumerate(stems, start=1)]


def joined(datasets: Sequence[Dataset]) -> Dataset:
    """All of ``datasets``, each of which has one task, in their order. Raises ``DataError`` for inputs of different kinds, and targets that have places."""
    given = [one.reference for one in datasets]
    asked = f"learn from {BETWEEN.join(given)} at once"
    names, first = names_of(given), datasets[0].form
    if any((one.form.kind, one.form.parts) != (first.kind, first.parts) for one in datasets):
        found = ", ".join(f"{name}: {one.task}" for name, one in zip(names, datasets, strict=True))
        raise DataError(asked, f"different kinds of inputs ({found})", "data sets on the same kind of inputs")
    if placed := [name for name, one in zip(names, datasets, strict=True) if one.form.target not in BESIDE]:
        raise DataError(
            asked,
            f"the targets of {placed[0]} are not one for each example, or several already",
            "data sets with one class, number or set of labels",
        )
    form = Form(first.kind, first.parts, "several", tuple(one.form.target for one in datasets))
    tasks = [
        {"name": name, "task": one.task, "classes": list(one.classes), "facts": dict(one.facts)}
        for name, one in zip(names, datasets, strict=True)
    ]
    splits, moved = _splits(datasets, names, blocks(widths(tasks, form.of)))
    task = next(name for name, known in FORMS.items() if known == Form(form.kind, form.parts, "several"))
    said = [f"{name}: {sentence}" for name, one in zip(names, datasets, strict=True) for sentence in one.said]
    said += [f"{moved:,} examples are test examples of another data set: they stay that."] if moved else []
    return Dataset(
        reference=BETWEEN.join(given), task=task, form=form, classes=tuple(names), splits=splits, fingerprint=fingerprint(task, tuple(names), splits),
        said=(f"{len(names)} data sets, each with a task of its own: {', '.join(names)}.", *said),
        rejected=tuple(Rejected(f"{name}: {item.where}", item.reason, item.split) for name, one in zip(names, datasets, strict=True) for item in one.rejected),
        given_splits=tuple(split for split in SPLITS if all(split in one.given_splits for one in datasets)), facts={"tasks": tasks},
    )  # fmt: skip


def _splits(datasets: Sequence[Dataset], names: Sequence[str], places: Sequence[slice]) -> tuple[dict[str, Split], int]:
    """The splits of all, and how many examples went to test because another set tests with them."""
    tested = {digest for one in datasets if "test" in one.splits for digest in one.splits["test"].digests}
    width, held = places[-1].stop, {split: list[pa.Table]() for split in SPLITS}
    moved = 0
    for one, name, place in zip(datasets, names, places, strict=True):
        for split, examples in one.splits.items():
            table = _wide(examples, name, place, width)
            leaks = np.array([split != "test" and digest in tested for digest in examples.digests], bool)
            held[split].append(table.filter(arrow.array(~leaks)))
            held["test"].append(table.filter(arrow.array(leaks)))
            moved += int(leaks.sum())
    whole = {split: pa.concat_tables(tables) for split, tables in held.items() if tables}
    return {split: Split(split, table, datasets[0].form.parts) for split, table in whole.items() if table.num_rows}, moved


def _wide(split: Split, name: str, place: slice, width: int) -> pa.Table:
    """The table of one set with its targets among those of all, NaN elsewhere."""
    values = np.full((len(split), width), np.nan, np.float32)
    values[:, place] = split.targets.reshape(len(split), -1)
    column = pa.FixedSizeListArray.from_arrays(arrow.array(values.reshape(-1), pa.float32()), width)
    where = arrow.array([f"{name}: {one}" for one in split.table.column("where").to_pylist()], pa.string())
    inputs, digests = (split.table.column(key).combine_chunks() for key in ("input", "digest"))
    return pa.Table.from_arrays([inputs, column, digests, where], schema=schema_of(arrays.set_of(width)))
