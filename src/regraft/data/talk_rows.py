"""The rows of tables that hold instructions, conversations or preference pairs, as :class:`regraft.data.examples.Raw`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from regraft.data.columns import SPLIT_NAMES
from regraft.data.conversations import Cells, Layout, as_text, lacks_output, layout_in
from regraft.data.dataset import Rejected
from regraft.data.examples import Raw
from regraft.data.legend import Legend
from regraft.data.tables import TableFile
from regraft.data.turns import Turn
from regraft.errors import DataError, suggest
from regraft.spec import Form

WHAT_IS_READ = "columns instruction and output; conversations or messages; chosen and rejected; or --input COLUMN of plain text"


@dataclass(frozen=True, slots=True)
class Talks:
    """Tables of one ``layout`` by split (``""``: not said); ``split``: a column that says it row by row."""

    files: Mapping[str, Sequence[TableFile]]
    layout: Layout
    split: str | None = None
    legend: Legend | None = None
    empty: tuple[str, ...] = ()

    @property
    def form(self) -> Form:
        return Form("text", "turns", self.layout.target)

    @property
    def parts(self) -> frozenset[str]:
        return frozenset(self.files)

    @property
    def num_files(self) -> int:
        return 0

    @property
    def said(self) -> tuple[str, ...]:
        columns = ", ".join(self.layout.columns)
        told = [f"Column {self.split!r} says which split a row belongs to."] if self.split else []
        return (f"Each row is {KINDS[self.layout.target]}, read as {self.layout.name} ({columns}).", *told)

    def raws(self) -> Iterator[Raw]:
        for split, files in self.files.items():
            for file in files:
                yield from self._of_file(split, file)

    def _of_file(self, split: str, file: TableFile) -> Iterator[Raw]:
        there = [name for name in self.layout.columns if name in file.columns]
        wanted = [*there, *([self.split] if self.split else [])]
        for batch in file.batches(wanted):
            cells = zip(*(batch.column(name).to_pylist() for name in there), strict=True)
            where = [f"{file.path.name} row {row}" for row in batch.column("row").to_pylist()]
            splits = [value or "(empty)" for value in batch.column(self.split).to_pylist()] if self.split else [split] * len(where)
            raw = Raw([], [], [], [])
            for row, place, side in zip(cells, where, splits, strict=True):
                conversation, answer, fault = self.layout.record(dict(zip(there, row, strict=True)))
                if fault:
                    raw.rejected.append(Rejected(place, fault, split))
                    continue
                for column, value in ((raw.inputs, conversation), (raw.labels, answer), (raw.where, place), (raw.splits, side)):
                    column.append(value)  # type: ignore[arg-type]
            yield raw
        yield Raw([], [], [], [], [Rejected(f"{file.path.name} row {row}", reason, split) for row, reason in file.rejected])


KINDS = {"text": "a conversation or a text", "preference": "a preference pair"}


def talks_in(files: Mapping[str, Sequence[TableFile]], *, form: Form | None, input: str | None, target: str | None) -> Talks | None:
    """``files`` as conversations, where their columns are those of one, or the task asks for it; ``None`` for any other table.

    Raises ``DataError`` where the task asks for conversations and there are none, and for instructions without answers.
    """
    if (form is not None and form.parts != "turns") or (form is None and (input or target)):
        return None
    first = next(file for part in files.values() for file in part)
    where, names = str(first.path), first.columns
    if lacks_output(names):
        raise DataError(f"read instructions from {where}", f"no column output: the columns are {', '.join(names)}",
                        "give each instruction its answer, in a column output")  # fmt: skip
    layout = _text_in(names, input, where) if input else layout_in(names)
    fits = form is None or (layout is not None and layout.target == form.target)
    made = layout if fits or form is None else _as_asked(layout, form, where, names)
    split = next((name for name in names if name.strip().lower() in SPLIT_NAMES), None)
    return Talks(files, made, split) if made else None


def _text_in(names: Sequence[str], column: str, where: str) -> Layout:
    if column not in names:
        raise DataError(f"--input {column} in {where}", f"no such column; the columns are {', '.join(names)}", suggest(column, names))
    return as_text(column)


def _as_asked(layout: Layout | None, form: Form, where: str, names: Sequence[str]) -> Layout:
    """Preference pairs as conversations that end with the better answer, where that is asked for."""
    if layout is None or form.target == "preference":
        asked = "preference pairs" if form.target == "preference" else "conversations"
        advice = "columns prompt, chosen and rejected" if form.target == "preference" else WHAT_IS_READ
        raise DataError(f"find {asked} in {where}", f"the columns are {', '.join(names)}", advice)
    read = layout.read

    def chosen(cells: Cells) -> list[Turn]:
        return [("assistant" if role == "chosen" else role, said) for role, said in read(cells) if role != "rejected"]

    return replace(layout, name="the chosen answers of preference pairs", target="text", read=chosen)
