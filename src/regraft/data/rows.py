"""The rows of a source, whatever it is made of: class folders, tables or the hub, as :class:`regraft.data.examples.Raw`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from regraft.data import columns as choice
from regraft.data import encoding, forms, several
from regraft.data.columns import Columns
from regraft.data.dataset import Rejected
from regraft.data.examples import Raw
from regraft.data.field_rows import FieldRows, fields_in
from regraft.data.hub import open_tables
from regraft.data.legend import Legend, parted
from regraft.data.mask_rows import Masked, of_folders
from regraft.data.names import FILE_ENDINGS
from regraft.data.passages import Texts, texts_in
from regraft.data.sources import ClassFolders, Source
from regraft.data.tables import TableFile, open_table, sample
from regraft.data.talk_rows import Talks, talks_in
from regraft.errors import DataError, suggest
from regraft.spec import PART, Form

SAMPLE_ROWS = 20_000
BATCH_FILES = 1_024


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a source by split (``""``: not said), the columns that were chosen for all of them, and the folder of relative image paths."""

    files: dict[str, list[TableFile]]
    columns: Columns
    root: Path
    legend: Legend | None = None

    @property
    def form(self) -> Form:
        return self.columns.form

    @property
    def parts(self) -> frozenset[str]:
        return frozenset(self.files)

    @property
    def said(self) -> tuple[str, ...]:
        notes = [note for files in self.files.values() for file in files for note in file.said]
        return (*notes, *self.columns.said)

    def raws(self) -> Iterator[Raw]:
        for split, files in self.files.items():
            for file in files:
                yield from self._of_file(split, file)

    def _of_file(self, split: str, file: TableFile) -> Iterator[Raw]:
        named, called = self.columns, file.path.name
        wanted = list(dict.fromkeys([*named.inputs, *named.targets, *([named.split] if named.split else [])]))
        for batch in file.batches(wanted):
            inputs = self._inputs([batch.column(name).to_pylist() for name in named.inputs])
            where = [f"{called} row {row}" for row in batch.column("row").to_pylist()]
            splits = [value or "(empty)" for value in batch.column(named.split).to_pylist()] if named.split else [split] * len(where)
            yield Raw(inputs, self._labels([batch.column(name).to_pylist() for name in named.targets]), where, splits)
        yield Raw([], [], [], [], [Rejected(f"{called} row {row}", reason, split) for row, reason in file.rejected])

    def _labels(self, columns: list[list[str | None]]) -> list[str | None]:
        if self.form.target == "several":
            return [PART.join((cell or "").replace(PART, " ") for cell in row) for row in zip(*columns, strict=True)]
        (cells,) = columns
        if self.form.target == "mask":
            return [self._path(cell) for cell in cells]
        return [forms.joined_words(cell) for cell in cells] if self.form.target == "tags" else cells

    def _path(self, cell: str | None) -> str | None:
        return str(self.root / cell.strip()) if cell and cell.strip() else None

    def _inputs(self, columns: list[list[str | None]]) -> list[str | None]:
        """One input a row, as ``Split`` holds them."""
        if self.form.kind in FILE_ENDINGS:
            return [self._path(cell) for cell in columns[0]]
        if self.form.parts == "pair":
            return [forms.joined(cells) for cells in zip(*columns, strict=True)]
        if self.form.parts == "words":
            return [forms.joined_words(cell) for cell in columns[0]]
        return [value.replace(PART, " ") if value else value for value in columns[0]]


@dataclass(frozen=True, slots=True)
class Folders:
    """Class folders by split (``""``: not said)."""

    folders: dict[str, ClassFolders]
    root: Path
    said: tuple[str, ...] = ()
    legend: Legend | None = None

    @property
    def parts(self) -> frozenset[str]:
        return frozenset(self.folders)

    @property
    def form(self) -> Form:
        kinds = {part.kind for part in self.folders.values() if any(part.files.values())} or {"image"}
        return Form(next((kind for kind in FILE_ENDINGS if kind in kinds), "text"))

    @property
    def num_files(self) -> int:
        return sum(len(files) for part in self.folders.values() for files in part.files.values())

    @property
    def empty(self) -> tuple[str, ...]:
        """Class folders without a file, as paths within the data set."""
        return tuple(
            "/".join(filter(None, (split, name))) for split, part in self.folders.items() for name, files in part.files.items() if not files
        )

    def raws(self) -> Iterator[Raw]:
        for split, part in self.folders.items():
            for label, files in part.files.items():
                for at in range(0, len(files), BATCH_FILES):
                    some = files[at : at + BATCH_FILES]
                    where = [file.relative_to(self.root).as_posix() for file in some]
                    inputs: list[str | None] = (
                        [str(file) for file in some] if self.form.kind in FILE_ENDINGS else [_text(file) for file in some]
                    )
                    yield Raw(inputs, [label] * len(some), where, [split] * len(some))


def of_source(
    source: Source, *, form: Form | None, input: str | None, target: str | None
) -> Tables | Folders | Masked | Talks | Texts | FieldRows:
    """``form``: what the task asks for; None to see what is there. ``input``: a column, a folder that relative image paths start from, or both as ``column@folder``; ``target``: a column.
    Of masks in folders they name these folders. ``target`` may say which values in masks to ignore (``ignore=255``)."""
    if source.texts:
        return texts_in(source.texts, source.root, form)
    ignore: frozenset[int] = frozenset()
    if (form is not None and form.target == "mask") or (form is None and (source.masks or not source.folders)):
        target, ignore = parted(target)
    in_folders = not source.tables and not source.hub
    if in_folders and (form.target == "mask" if form else not source.folders):
        if form is not None and form.target != "mask":
            raise DataError(f"a task without masks on {source.root}", "images beside masks", "leave --task out")
        return of_folders(source, images=input, masks=target, ignore=ignore)
    if source.folders:
        if input or target:
            raise DataError(
                f"--input/--target with the folder {source.root}", "class folders have no columns", "leave --input and --target out"
            )
        found = Folders(source.folders, source.root)
        if form is not None and form != found.form:
            raise DataError(f"a task with other examples than classes of {found.form.kind}s on {source.root}", "class folders give one class to each file",
                            "leave --task out, or give a table")  # fmt: skip
        return found
    files = _tables(source)
    if (talks := talks_in(files, form=form, input=input, target=target)) is not None:
        return talks
    first = files.get("train") or next(iter(files.values()))
    head = sample(first[0], SAMPLE_ROWS)
    where = str(first[0].path)
    if any(head.values()) and (rows := fields_in(files, head, form=form, input=input, target=target)) is not None:
        return rows
    column, root = _column_and_root(input, first[0].columns, source.root)
    if not any(head.values()):
        reason = f": {first[0].rejected[0][1]} (row {first[0].rejected[0][0]})" if first[0].rejected else ""
        raise DataError(f"read {where}", f"a header and no usable row{reason}", "give a table with labelled rows")
    chosen = several.choose(head, where, input=column, target=target, form=form)
    _check_columns(files, chosen, first[0])
    if chosen.form.kind in FILE_ENDINGS and root == source.root:
        root, chosen = _folder_of_paths(head, chosen, root)
    return Tables(files, chosen, root, Legend.of([source.root], ignore) if chosen.form.target == "mask" else None)


def _folder_of_paths(head: choice.Rows, chosen: Columns, root: Path) -> tuple[Path, Columns]:
    """``root``, or the one folder in it that the paths start from, where they do not start from ``root`` itself; that is said."""
    first = next((cell.strip() for cell in head[chosen.inputs[0]] if cell and cell.strip()), "")
    if not first or (root / first).exists():
        return root, chosen
    folders = [folder for folder in sorted(root.iterdir()) if folder.is_dir() and (folder / first).is_file()]
    if len(folders) != 1:
        return root, chosen
    return folders[0], replace(chosen, said=(*chosen.said, f"Paths start from the folder {folders[0].name}/."))


def _tables(source: Source) -> dict[str, list[TableFile]]:
    if source.hub:
        return {split: list(tables) for split, tables in open_tables(source.hub).items()}
    return {split: [open_table(path) for path in paths] for split, paths in source.tables.items()}


def _column_and_root(given: str | None, known: tuple[str, ...], root: Path) -> tuple[str | None, Path]:
    if given is None or given in known or all(name.strip() in known for name in given.split(",")):
        return given, root
    column, at, folder = given.rpartition("@")
    if (column in known or not at) and Path(folder).expanduser().is_dir():
        return column or None, Path(folder).expanduser().resolve()
    raise DataError(f"--input {given}", f"neither a column nor a folder; the columns are {', '.join(known)}", suggest(given, known))


def _check_columns(files: dict[str, list[TableFile]], chosen: Columns, first: TableFile) -> None:
    for file in (file for part in files.values() for file in part):
        for name in filter(None, (*chosen.inputs, *chosen.targets, chosen.split)):
            if name not in file.columns:
                found = f"it has no column {name!r}, which {first.path.name} has; its columns are {', '.join(file.columns)}"
                raise DataError(f"read {file.path}", found, f"give every file the same columns: {suggest(name, file.columns)}")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding.of_file(file))
    except UnicodeDecodeError as error:
        raise encoding.refuse(file, f"byte {error.start} is not UTF-8") from None
