"""What lies at a reference: class folders, split folders of class folders, split tables, one table, or a data set of the hub.

    cats/ dogs/                              class folders
    train/cats/ train/dogs/ test/cats/ ...   split folders (an images/ level in between is understood)
    train.csv valid.csv test.csv             split tables (any format of tables.FORMATS; shards too)
    images/ masks/                           images and a mask for each (mask_pairs.py)
    84/121123/84-121123.trans.txt            transcripts beside sounds, as in LibriSpeech (trans_files.py)
    tickets.csv                              one table, by itself or alone in a folder
    plays.txt, or a folder of .txt files     plain text, to learn to go on with
    hf:owner/name                            hub data set, when online

Whatever else lies in the folder is named aloud.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from regraft.data import mask_pairs, trans_files
from regraft.data.names import AUDIO_ENDINGS, IMAGE_ENDINGS, in_order, split_of
from regraft.data.tables import is_table
from regraft.errors import DataError

TEXT_ENDINGS = frozenset({".txt"})
NO_DATA = frozenset({".md", ".rst", ".html", ".pdf", ""})
IMAGES_LEVEL = ("images", "imgs", "image")
WHAT_IS_READ = "a folder of class folders, a folder with train/ and test/, images/ beside masks/, or a .csv .tsv .jsonl .json .parquet .conll .txt file"


@dataclass(frozen=True)
class ClassFolders:
    """One folder per class, in order of name; each holds that class's files in order."""

    files: dict[str, list[Path]]
    others: tuple[Path, ...] = ()

    @property
    def kind(self) -> str:
        endings = {file.suffix.lower() for files in self.files.values() for file in files}
        if not endings & IMAGE_ENDINGS and endings & AUDIO_ENDINGS:
            return "audio"
        return "image" if endings & IMAGE_ENDINGS or not endings & TEXT_ENDINGS else "text"


@dataclass(frozen=True)
class Source:
    """``root``: what paths are relative to. Exactly one of ``folders`` and ``tables`` is filled; their keys are split names, or ``""``
    where nothing says which split a file belongs to. ``masks``: images with masks; beside ``folders`` where these are classes of images that have masks
    too. ``texts``: files of plain text by split. ``hub``: name of a hub data set. ``said``: what was found and what was left out."""

    root: Path
    layout: str
    folders: dict[str, ClassFolders] = field(default_factory=dict)
    tables: dict[str, list[Path]] = field(default_factory=dict)
    hub: str = ""
    said: tuple[str, ...] = ()
    masks: mask_pairs.Pairs | None = None
    texts: dict[str, list[Path]] = field(default_factory=dict)


def resolve(reference: str | Path) -> Source:
    """The source that ``reference`` means; nothing is read but names. Raises :class:`DataError` where there is nothing to read."""
    text = str(reference)
    path = Path(text).expanduser()
    if text.startswith("hf:") or (
        not path.exists() and re.fullmatch(r"[\w.-]+/[\w.-]+", text) and not path.parent.exists() and not path.suffix
    ):
        return Source(Path(), "hub", hub=text.removeprefix("hf:"), said=(f"{text} is a data set of the Hugging Face hub.",))
    if not path.exists():
        raise DataError(f"read {text}", "no such file or folder", _nearby(path))
    if not os.access(path, os.R_OK):
        raise DataError(f"read {text}", "it may not be read by this user", f"chmod u+r {text}")
    path = path.resolve()
    return _file(path) if path.is_file() else _folder(path)


def _file(path: Path) -> Source:
    if path.suffix.lower() in TEXT_ENDINGS and not is_table(path):
        return Source(path.parent, "plain text", texts={"": [path]})
    if not is_table(path):
        raise DataError(f"read {path}", f"a {path.suffix or 'file without an ending'}", f"give {WHAT_IS_READ}")
    return Source(path.parent, "table", tables={"": [path]})


def _folder(root: Path) -> Source:
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    if not entries:
        raise DataError(f"read {root}", "the folder is empty", f"give {WHAT_IS_READ}")
    tables = [entry for entry in entries if entry.is_file() and is_table(entry)]
    folders = [entry for entry in entries if entry.is_dir()]
    by_split = [table for table in tables if split_of(table.stem)]
    if by_split:
        return _split_tables(root, entries, by_split)
    if not tables and (spoken := trans_files.find(root)):
        count = sum(map(len, spoken.values()))
        return Source(
            root, "transcripts", tables=spoken, said=(f"Transcripts lie beside the sounds, in {count:,} files ({trans_files.ENDING}).",)
        )
    masks = mask_pairs.find(root) if folders else None
    if masks and masks.plain:
        return Source(root, "images and masks", masks=masks)
    if not tables and not masks and (texts := _texts(root, entries)):
        return texts
    found = _of_classes(root, entries, tables)
    if masks and found.folders:
        more = "Masks lie beside the images: --task semantic-segmentation learns them."
        return replace(found, masks=masks, said=(*found.said, more))
    return found


def _texts(root: Path, entries: list[Path]) -> Source | None:
    """Files of plain text that lie in ``root`` itself, no class folders beside them; those named train, valid or test give the splits."""
    files = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in TEXT_ENDINGS]
    if not files or any(entry.is_dir() for entry in entries):
        return None
    named = {file: split_of(file.stem) or "" for file in files}
    parts: dict[str, list[Path]] = {}
    for file in files:
        if named[file] or not any(named.values()):
            parts.setdefault(named[file], []).append(file)
    used = {file.name for held in parts.values() for file in held}
    return Source(root, "plain text", texts=parts, said=_left_out(root, entries, used))


def _of_classes(root: Path, entries: list[Path], tables: list[Path]) -> Source:
    """Class folders, in split folders or not, else the only table."""
    folders = [entry for entry in entries if entry.is_dir()]
    if any(split_of(folder.name) for folder in folders):
        return _split_folders(root, entries)
    found = _class_folders(root)
    filled = sum(bool(files) for files in found.files.values())
    if filled >= 2 or (filled and not tables):
        return Source(
            root, "class folders", folders={"": found}, said=_said_folders({"": found}) + _left_out(root, entries, set(found.files))
        )
    if len(tables) == 1:
        return Source(
            root,
            "table",
            tables={"": tables},
            said=(f"{tables[0].name} is the only table in {root.name}/.", *_left_out(root, entries, {tables[0].name})),
        )
    raise _nothing(root, entries, tables)


def _split_tables(root: Path, entries: list[Path], tables: list[Path]) -> Source:
    parts: dict[str, list[Path]] = {}
    for table in tables:
        parts.setdefault(split_of(table.stem) or "", []).append(table)
    for split, files in parts.items():
        whole = [file for file in files if not re.search(r"\d", file.stem)]
        if len(whole) > 1 or (whole and len(files) > 1):
            names = ", ".join(file.name for file in files)
            raise DataError(f"find the {split} split of {root}", f"several files claim it: {names}", "keep one of them in the folder")
    said = [
        "Splits are given by files: "
        + ", ".join(f"{', '.join(f.name for f in files)} is {split}" for split, files in sorted(parts.items()))
        + "."
    ]
    return Source(root, "split tables", tables=parts, said=(*said, *_left_out(root, entries, {table.name for table in tables})))


def _split_folders(root: Path, entries: list[Path]) -> Source:
    parts: dict[str, ClassFolders] = {}
    for entry in entries:
        split = split_of(entry.name) if entry.is_dir() else None
        if split is None:
            continue
        if split in parts:
            raise DataError(f"find the {split} split of {root}", "several folders claim it", "keep one of them")
        parts[split] = _class_folders(entry)
    if not any(any(part.files.values()) for part in parts.values()):
        raise _nothing(root, entries, [])
    used = {entry.name for entry in entries if entry.is_dir() and split_of(entry.name)}
    said = [f"Splits are given by folders: {', '.join(sorted(used))}."]
    return Source(root, "split class folders", folders=parts, said=(*said, *_said_folders(parts), *_left_out(root, entries, used)))


def _class_folders(folder: Path) -> ClassFolders:
    """The class folders in ``folder``, or in its images/ level; files of a class are found at any depth below it."""
    inner = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    level = [entry for entry in inner if entry.name.lower() in IMAGES_LEVEL and any(child.is_dir() for child in entry.iterdir())]
    if len(level) == 1:
        return _class_folders(level[0])
    files: dict[str, list[Path]] = {}
    others: list[Path] = [entry for entry in folder.iterdir() if entry.is_file() and entry.suffix.lower() in IMAGE_ENDINGS | AUDIO_ENDINGS]
    for name in in_order(entry.name for entry in inner):
        within = _walk(folder / name)
        by_kind = ([file for file in within if file.suffix.lower() in endings] for endings in (IMAGE_ENDINGS, AUDIO_ENDINGS, TEXT_ENDINGS))
        files[name] = next(filter(None, by_kind), [])
        kept = set(files[name])
        others += [file for file in within if file not in kept]
    return ClassFolders(files, tuple(others))


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        found += [Path(parent, name) for name in in_order(names) if not name.startswith(".") and name not in ("Thumbs.db", "desktop.ini")]
    return found


def _said_folders(parts: dict[str, ClassFolders]) -> tuple[str, ...]:
    others = [file for part in parts.values() for file in part.others]
    if not others:
        return ()
    some = ", ".join(file.name for file in others[:3]) + (", ..." if len(others) > 3 else "")
    return (f"Left out {len(others):,} files that are no examples of a class: {some}",)


def _left_out(root: Path, entries: list[Path], used: set[str]) -> tuple[str, ...]:
    others = [entry for entry in entries if entry.name not in used and not (entry.is_file() and entry.suffix.lower() in NO_DATA)]
    notes = [entry.name for entry in entries if entry.name not in used and entry not in others]
    said = [f"Not data: {', '.join(notes)}."] if notes else []
    if others:
        names = ", ".join(f"{entry.name}/" if entry.is_dir() else entry.name for entry in others)
        said.append(f"Left out, because no name says train, valid or test: {names} (in {root.name}/).")
    return tuple(said)


def _nothing(root: Path, entries: list[Path], tables: list[Path]) -> DataError:
    if tables:
        found = f"{len(tables)} tables, none named train, valid or test: {', '.join(table.name for table in tables)}"
        return DataError(f"read {root}", found, f"name one of them: {tables[0]}")
    endings: dict[str, int] = {}
    for file in (file for entry in entries for file in (_walk(entry) if entry.is_dir() else [entry])):
        endings[file.suffix.lower() or "no ending"] = endings.get(file.suffix.lower() or "no ending", 0) + 1
    listed = ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items(), key=lambda pair: -pair[1])[:5]) or "no file"
    return DataError(f"read {root}", f"no image or sound in a class folder and no table, but {listed}", f"give {WHAT_IS_READ}")


def _nearby(path: Path) -> str:
    parent = path.parent if path.parent.exists() else Path()
    names = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
    near = get_close_matches(path.name, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {parent / near[0]}?"
    return f"give {WHAT_IS_READ}; a data set of the hub is written hf:owner/name"
