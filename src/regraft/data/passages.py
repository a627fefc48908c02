"""Plain text to learn: files cut into passages at empty lines, else at ends of lines, each of them one example.

A passage has at most ``LONGEST`` characters, so that it fits into most models as a whole; training with ``packing`` puts several into one row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regraft.data import encoding
from regraft.data.examples import Raw
from regraft.data.legend import Legend
from regraft.data.turns import written
from regraft.errors import DataError
from regraft.spec import Form

LONGEST = 1_000
FORM = Form("text", "turns", "text")


@dataclass(frozen=True, slots=True)
class Texts:
    """Files of text by split (``""``: not said)."""

    files: dict[str, list[Path]]
    root: Path
    said: tuple[str, ...] = ()
    legend: Legend | None = None
    empty: tuple[str, ...] = ()
    form: Form = FORM

    @property
    def parts(self) -> frozenset[str]:
        return frozenset(self.files)

    @property
    def num_files(self) -> int:
        return 0  # what is counted are passages, and nobody knows how many there are

    def raws(self) -> Iterator[Raw]:
        for split, files in self.files.items():
            for file in files:
                found = passages(_text(file))
                inputs: list[str | None] = [written([("text", passage)]) for passage in found]
                labels: list[str | None] = [""] * len(found)
                where = [f"{file.relative_to(self.root).as_posix()} passage {place}" for place in range(1, len(found) + 1)]
                yield Raw(inputs, labels, where, [split] * len(found))


def passages(text: str, longest: int = LONGEST) -> list[str]:
    """``text`` in pieces of at most ``longest`` characters; joined they are the text, but for the space between."""
    found: list[str] = []
    room = 0
    for block in _blocks(text, longest):
        if found and len(block) + 2 <= room:
            found[-1] += "\n\n" + block
            room -= len(block) + 2
        else:
            found.append(block)
            room = longest - len(block)
    return found


def _blocks(text: str, longest: int) -> Iterator[str]:
    """Paragraphs; those that are too long by lines, those by words, and a word that is too long cut."""
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        block = block.strip("\n")
        while len(block) > longest:
            cut = max(block.rfind("\n", 0, longest), 0) or max(block.rfind(" ", 0, longest), 0) or longest
            yield block[:cut]
            block = block[cut:].lstrip()
        if block.strip():
            yield block


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding.of_file(file))
    except UnicodeDecodeError as error:
        raise encoding.refuse(file, f"byte {error.start} is not UTF-8") from None


def texts_in(files: dict[str, list[Path]], root: Path, form: Form | None) -> Texts:
    """Raises ``DataError`` where the task is not to go on with a text."""
    if form is not None and form != FORM:
        raise DataError(
            f"learn {form.target} targets from plain text in {root}", "files of text have no labels", "leave --task out, or give a table"
        )
    count = sum(map(len, files.values()))
    return Texts(files, root, (f"{count} file{'s' * (count > 1)} of plain text, cut into passages of at most {LONGEST:,} characters.",))
