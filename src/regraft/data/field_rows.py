"""The rows of tables that are read column by column, as :class:`regraft.data.examples.Raw`: which columns there are, and of which kind each is.

--input age,purpose,note          these columns; their kinds from their cells
--input age,zip:category          a kind in so many words: text, number or category
--task text-table-...             every column but the target, the split and what only numbers the rows
neither                           a table of numbers and categories without any text; one with a text is read as texts with labels, as ever
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from regraft.data import arrow, fields, forms
from regraft.data import columns as choice
from regraft.data.dataset import Rejected
from regraft.data.examples import Raw
from regraft.data.fields import KINDS, MOST_VALUES, Fields, Kind
from regraft.data.legend import Legend
from regraft.data.split import TRAIN
from regraft.data.tables import TableFile
from regraft.data.targets.numbers import value_of
from regraft.data.targets.reader import Learnt
from regraft.errors import DataError, suggest
from regraft.spec import Form, Target

MOSTLY = 0.9
"""From this share of its cells on that are numbers, a column is one of numbers, and its other cells are faults."""
MANY_ROWS = 20
ID_NAMES = ("id", "index", "idx", "row", "no", "nr", "uuid", "key", "编号", "序号", "")
FEWEST = 2
"""Columns that a table without text has to have, beside its target, to be taken for one."""
Asked = tuple[tuple[str, Kind | None], ...]


@dataclass(frozen=True, slots=True)
class FieldRows:
    """Tables by split (``""``: not said); ``kinds``: the columns that are read, in their order; ``split``: a column that says it row by row."""

    files: Mapping[str, Sequence[TableFile]]
    kinds: Mapping[str, Kind]
    target: str
    split: str | None
    form: Form
    told: tuple[str, ...] = ()
    legend: Legend | None = None
    empty: tuple[str, ...] = ()

    @property
    def parts(self) -> frozenset[str]:
        return frozenset(self.files)

    @property
    def num_files(self) -> int:
        return 0

    @property
    def said(self) -> tuple[str, ...]:
        return (*(note for part in self.files.values() for file in part for note in file.said), *self.told)

    def raws(self) -> Iterator[Raw]:
        wanted = [*self.kinds, self.target, *([self.split] if self.split else [])]
        for split, files in self.files.items():
            for file in files:
                for batch in file.batches(wanted):
                    yield self._of_batch(batch, file, split)
                yield Raw([], [], [], [], [Rejected(f"{file.path.name} row {row}", reason, split) for row, reason in file.rejected])

    def _of_batch(self, batch: pa.RecordBatch, file: TableFile, split: str) -> Raw:
        found = Raw([], [], [], [])
        columns = [batch.column(name).to_pylist() for name in (*self.kinds, self.target, *([self.split] if self.split else []))]
        for number, *cells in zip(batch.column("row").to_pylist(), *columns, strict=True):
            row, where = dict(zip(self.kinds, cells, strict=False)), f"{file.path.name} row {number}"
            if reason := fields.fault(row, self.kinds):
                found.rejected.append(Rejected(where, reason, split))
                continue
            found.inputs.append(fields.held(row))
            found.labels.append(cells[len(self.kinds)])
            found.where.append(where)
            found.splits.append((cells[-1] or "(empty)") if self.split else split)
        return found

    def learn(self, learnt: Learnt, inputs: pa.ChunkedArray, sides: np.ndarray) -> Learnt:
        """``learnt`` with the fields as the training rows of ``inputs`` show them. Raises ``DataError`` where no column beside the text says anything."""
        found = fields.learn(fields.rows_of(inputs.take(arrow.array(np.flatnonzero(sides == TRAIN))).to_pylist()), self.kinds)
        if not found.width:
            names = ", ".join(one.name for one in found.each)
            raise DataError(f"read the columns {names} beside a text", "none of them is of numbers or categories that differ in train",
                            "--task text-classification, or name other columns with --input")  # fmt: skip
        facts = {**learnt.facts, fields.FACTS: found.json()}
        return replace(learnt, facts=facts, said=(*learnt.said, *_remarks(found)))


def fields_in(
    files: Mapping[str, Sequence[TableFile]], head: choice.Rows, *, form: Form | None, input: str | None, target: str | None
) -> FieldRows | None:
    """``files`` as rows of columns, where the task or --input asks for it or nothing else can be meant; ``None`` for any other table. ``head``: a sample.

    Raises ``DataError`` for columns that are not there, and where the target is open.
    """
    first = next(file for part in files.values() for file in part)
    where = str(first.path)
    if form is not None and form.parts != "row":
        return None
    given = asked(input, head)
    if form is None and not (_is_asked(given, head) if input else target in (None, *head) and _is_plain_table(head, target)):
        return None
    _check_there(files, [*(name for name, _ in given), *([target] if target else [])], where)
    split = choice.split_of(head, taken=(*(name for name, _ in given), target))
    facts = [choice.Facts.of(name, cells) for name, cells in head.items() if name != split]
    reasons: list[str] = []
    named = {name for name, _ in given}
    chosen = choice.target_of([one for one in facts if one.name not in named], where, target, reasons)
    if chosen in named:
        raise DataError(
            f"--input {input} with --target {chosen} in {where}", "the target is among the inputs", f"leave {chosen} out of --input"
        )
    kinds, left = _kinds(given, [one for one in facts if one.name != chosen], head)
    if not kinds:
        raise DataError(f"find columns beside {chosen!r} in {where}", f"none is left of {', '.join(head)}", "name them with --input")
    _check_there(files, [*kinds, chosen, *([split] if split else [])], where)
    wanted: Target = form.target if form else "number" if forms.target_in(head[chosen]) == "number" else "class"
    told = [*_told(kinds, left), *reasons, *([f"Column {split!r} says which split a row belongs to."] if split else [])]
    return FieldRows(files, kinds, chosen, split, Form("text", "row", wanted), tuple(told))


def asked(input: str | None, names: Sequence[str] | choice.Rows) -> Asked:
    """The columns that --input names, each with the kind that is said of it; a name with a comma in it stands in quotes."""
    if input is None:
        return ()
    found = []
    for name in (input,) if input in names else map(str.strip, next(csv.reader(io.StringIO(input), skipinitialspace=True))):
        plain, _, kind = name.rpartition(":")
        said = next((one for one in KINDS if one == kind), None)
        found.append((plain, said) if said and plain and name not in names else (name, None))
    return tuple(found)


def as_input(facts: Mapping[str, object]) -> str:
    """What ``--input`` would be for the columns that a model has learned."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([f"{one.name}:{one.kind}" for one in Fields.of(facts).each])
    return out.getvalue()


def kind_of(name: str, cells: Sequence[str | None]) -> Kind | None:
    """Of a column, from a sample of its cells; ``None`` for what only numbers the rows."""
    present = [cell.strip() for cell in cells if cell is not None and not fields.is_missing(cell)]
    if not present:
        return "number"
    numbers = [value for cell in present if (value := value_of(cell)) is not None]
    seen = choice.Facts.of(name, present)
    if _only_numbers(name, seen, numbers):
        return None
    if len(numbers) > MOSTLY * len(present):
        return "number"
    return "text" if seen.is_text else "category"


def _only_numbers(name: str, seen: choice.Facts, numbers: Sequence[float]) -> bool:
    """Does a column number the rows? It never repeats, and is named so, or counts through, or holds codes."""
    if seen.num_distinct < seen.num_values or seen.num_values < 2:
        return False
    plain = name.strip().lower()
    if plain in ID_NAMES or plain.endswith(("_id", " id", "-id")) or plain.startswith("unnamed:"):
        return True
    if len(numbers) == seen.num_values:
        return seen.num_values >= MANY_ROWS and max(numbers) - min(numbers) == len(numbers) - 1
    return seen.num_values >= MANY_ROWS and not numbers and not seen.is_text


def _is_asked(given: Asked, head: choice.Rows) -> bool:
    """Do these columns, which --input names for no task in particular, make a row? Three or more, two that are no pair of texts, or any with its kind."""
    if not any(name in head for name, _ in given):
        return False
    if len(given) > 2 or any(kind for _, kind in given):
        return True
    return len(given) == 2 and any(name in head and kind_of(name, head[name]) == "number" for name, _ in given)


def _is_plain_table(head: choice.Rows, target: str | None) -> bool:
    """Are there numbers and categories, and nothing that could be a text, a path or words with tags?"""
    others = [name for name in head if name != target]
    if any(map(choice.is_named_as_text, others)):
        return False
    facts = [choice.Facts.of(name, head[name]) for name in others]
    if any(one.is_path or one.is_text for one in facts) or forms.pair_in(list(head)) or forms.words_in(head):
        return False
    named = target or next((one.name for one in facts if choice.is_named_as_target(one.name)), None)
    kinds = {one: kind_of(one.name, head[one.name]) for one in facts if one.name != named}
    may_be_text = any(kind == "category" and one.num_distinct > 1 and not one.is_label for one, kind in kinds.items())
    return (
        named is not None and not may_be_text and "number" in kinds.values() and sum(kind is not None for kind in kinds.values()) >= FEWEST
    )


def _kinds(given: Asked, facts: Sequence[choice.Facts], head: choice.Rows) -> tuple[dict[str, Kind], list[str]]:
    """The kind of every column that is read, and the columns that are left out as they only number the rows."""
    if given:
        return {name: kind or kind_of(name, head[name]) or _named_kind(name, head) for name, kind in given}, []
    found = {one.name: kind_of(one.name, head[one.name]) for one in facts}
    return {name: kind for name, kind in found.items() if kind}, [name for name, kind in found.items() if not kind]


def _named_kind(name: str, head: choice.Rows) -> Kind:
    """Of a column that only numbers the rows, where a person names it all the same."""
    return "number" if all(value_of(cell) is not None for cell in head[name] if cell and not fields.is_missing(cell)) else "text"


def _told(kinds: Mapping[str, Kind], left: Sequence[str]) -> list[str]:
    of: dict[str, list[str]] = {kind: [name for name, one in kinds.items() if one == kind] for kind in KINDS}
    listed = [f"{what} {', '.join(of[kind])}" for kind, what in (("number", "numbers"), ("category", "categories")) if of[kind]]
    text = f"text in {', '.join(of['text'])}" if of["text"] else "no text, so that the encoder reads the row written out"
    said = [
        f"Each row of columns is an example: {'; '.join([text, *listed])}. A kind that is wrong is mended with --input NAME:{'|'.join(KINDS)},..."
    ]
    return said + [f"Left out, as they only number the rows: {', '.join(left)}."] * bool(left)


def _remarks(found: Fields) -> list[str]:
    empty = [one.name for one in found.each if one.is_empty]
    said = [f"Say nothing, as they are the same in every training row or empty: {', '.join(empty)}."] if empty else []
    rare = [f"{one.name} ({one.others:,})" for one in found.each if one.others]
    return said + [f"Only the {MOST_VALUES} most frequent values are told apart; rarer ones are left: {', '.join(rare)}."] * bool(rare)


def _check_there(files: Mapping[str, Sequence[TableFile]], names: Sequence[str], where: str) -> None:
    for file in (file for part in files.values() for file in part):
        for name in names:
            if name not in file.columns:
                raise DataError(f"read column {name!r} of {file.path if len(files) > 1 else where}", f"no such column; the columns are {', '.join(file.columns)}",
                                suggest(name, file.columns))  # fmt: skip
