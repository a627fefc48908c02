"""Inputs without labels, for a model to answer: from a table, a text file, a folder, an image or a sound.

answers.csv     the input column (or columns), row by row; a table of paths is relative to its folder
lines.txt       a text a line
folder/         every image or sound below it, or every .txt file below it as one text
cat.jpg         itself
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.data import encoding, forms
from regraft.data.columns import PATH_NAMES, TEXT_NAMES, Facts, Rows
from regraft.data.dataset import Rejected
from regraft.data.fields import held
from regraft.data.listen import hear
from regraft.data.look import each, glance
from regraft.data.names import FILE_ENDINGS
from regraft.data.tables import FORMATS, open_table, sample
from regraft.errors import DataError, suggest
from regraft.spec import Form

SAMPLE_ROWS = 1_000
LINES = frozenset({".txt", ".md"})
LOOKS: dict[str, Callable[[Path], Any]] = {"image": glance, "audio": hear}
"""Kind of file -> what finds that it is none, cut off or not there; its answer has a ``fault``."""
ENDINGS = frozenset(FORMATS).union(LINES, *FILE_ENDINGS.values())


@dataclass(frozen=True, slots=True)
class Inputs:
    """As a split holds them: texts (parts joined by ``spec.PART``) or paths. ``rejected``: what was no input, with its place."""

    values: list[str]
    rejected: tuple[Rejected, ...] = ()


def names_a_file(text: str) -> bool:
    """Is this a path rather than a text: by its ending, where it is one word?"""
    return not any(sign.isspace() for sign in text.strip()) and Path(text).suffix.lower() in ENDINGS


def read(path: Path, form: Form, *, input: str | None = None) -> Inputs:
    """The inputs at ``path``, which exists. ``input``: the column of a table (``first,second`` for a pair). Raises ``DataError``."""
    ending = path.suffix.lower()
    if path.is_dir():
        return _below(path, form)
    if ending in FORMATS:
        return _of_table(path, form, input)
    if form.kind in FILE_ENDINGS:
        return _listed([(str(path), str(path))], form)
    if ending in LINES:
        return _listed([(f"{path.name} line {number}", line) for number, line in enumerate(_text(path).splitlines(), 1)], form)
    raise DataError(
        f"predict {path}",
        f"a {ending or 'file without an ending'}",
        f"give texts, or a file that ends in {' '.join(sorted((*LINES, *FORMATS)))}",
    )


def _below(folder: Path, form: Form) -> Inputs:
    endings = FILE_ENDINGS.get(form.kind, LINES)
    files = [file for file in sorted(folder.rglob("*")) if file.suffix.lower() in endings]
    if not files:
        raise DataError(
            f"predict {folder}", f"no file below it ends in {' '.join(sorted(endings))}", "give files, a table, or another folder"
        )
    return _listed([(str(file), str(file) if form.kind in FILE_ENDINGS else _text(file).strip()) for file in files], form)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding=encoding.of_file(path))
    except UnicodeDecodeError as error:
        raise encoding.refuse(path, f"byte {error.start} is not UTF-8") from None


def _of_table(path: Path, form: Form, input: str | None) -> Inputs:
    table = open_table(path, fewest_columns=1)
    rows = sample(table, SAMPLE_ROWS)
    columns = tuple(rows) if form.parts == "row" else _named(rows, path, input) if input else _found(rows, path, form)
    found: list[tuple[str, str | None]] = []
    for batch in table.batches(columns):
        cells = [batch.column(name).to_pylist() for name in columns]
        places = [f"{path.name} row {row}" for row in batch.column("row").to_pylist()]
        found += zip(places, map(_one(form, path.parent, columns), zip(*cells, strict=True)), strict=True)
    return _listed(found, form, [Rejected(f"{path.name} row {row}", reason) for row, reason in table.rejected])


def _one(form: Form, root: Path, columns: Sequence[str]) -> Callable[[Sequence[str | None]], str | None]:
    """How the cells of a row, of these ``columns``, become one input."""
    if form.parts == "pair":
        return forms.joined
    if form.parts == "row":
        return lambda cells: held(dict(zip(columns, cells, strict=True)))
    if form.parts == "words":
        return lambda cells: forms.joined_words(cells[0])
    if form.kind in FILE_ENDINGS:
        return lambda cells: str(root / cells[0].strip()) if cells[0] and cells[0].strip() else None
    return lambda cells: cells[0]


def _listed(found: Sequence[tuple[str, str | None]], form: Form, rejected: Sequence[Rejected] = ()) -> Inputs:
    """``found``: (place, text or path) of each input; the blank ones and the files that cannot be read are among the rejected."""
    blank = [Rejected(place, "empty") for place, value in found if not value or not value.strip()]
    kept = [(place, value) for place, value in found if value and value.strip()]
    if form.kind not in LOOKS:
        return Inputs([value for _, value in kept], (*rejected, *blank))
    faults = [seen.fault for seen in each(LOOKS[form.kind], [value for _, value in kept])]
    broken = [Rejected(place, fault) for (place, _), fault in zip(kept, faults, strict=True) if fault]
    return Inputs([value for (_, value), fault in zip(kept, faults, strict=True) if not fault], (*rejected, *blank, *broken))


def _named(rows: Rows, path: Path, input: str) -> tuple[str, ...]:
    names = (input,) if input in rows else tuple(name.strip() for name in input.split(","))
    for name in names:
        if name not in rows:
            raise DataError(f"--input {name} in {path.name}", f"no such column; the columns are {', '.join(rows)}", suggest(name, rows))
    return names


def _found(rows: Rows, path: Path, form: Form) -> tuple[str, ...]:
    """The column by its name, else the only one that can be meant."""
    if form.parts == "pair":
        pair = forms.pair_in(list(rows)) or (tuple(rows) if len(rows) == 2 else None)
        if pair:
            return pair
        raise _open(rows, path, "first,second")
    known = forms.WORDS if form.parts == "words" else PATH_NAMES if form.kind in FILE_ENDINGS else TEXT_NAMES
    by_name = sorted((known.index(name.strip().lower()), name) for name in rows if name.strip().lower() in known)
    if by_name:
        return (by_name[0][1],)
    facts = [Facts.of(name, values) for name, values in rows.items()]
    fitting = [one.name for one in facts if (one.kind == form.kind if form.kind in FILE_ENDINGS else one.is_text)]
    only = fitting if len(fitting) == 1 else list(rows) if len(rows) == 1 else []
    if not only:
        raise _open(rows, path, "COLUMN")
    return (only[0],)


def _open(rows: Rows, path: Path, column: str) -> DataError:
    return DataError(f"predict {path.name}", f"it is not plain which column is the input: {', '.join(rows)}", f"--input {column}")
