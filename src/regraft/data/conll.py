"""CoNLL files: one word and its tag to a line, an empty line behind each sentence. See :class:`regraft.data.tables.TableFile`.

Anna    B-person          columns by tabs or spaces: the first is the word, the last its tag
lives   O
                          an empty line ends the sentence
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from regraft.data import arrow, encoding
from regraft.errors import DataError
from regraft.spec import PART

COLUMNS = ("tokens", "tags")
BATCH_SENTENCES = 10_000
SNIFFED_LINES = 400
TAG = re.compile(r"^(O|[BIESMLU]-\S+)$")
TAG_SHARE = 0.95
DOCUMENT = "-DOCSTART-"


class Conll:
    """``batches`` gives one row a sentence, words and tags joined by ``spec.PART``; ``row`` is the line where it begins."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: tuple[str, ...] = COLUMNS
        self.rejected: list[tuple[int, str]] = []
        self.said = [f"{path.name} is in CoNLL form: a word and its tag to a line."]

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        self.rejected.clear()
        sentences = self._sentences()
        while chunk := list(islice(sentences, BATCH_SENTENCES)):
            cells = {"tokens": [words for _, words, _ in chunk], "tags": [tags for _, _, tags in chunk]}
            arrays = [arrow.array(cells[name], pa.string()) for name in columns]
            yield pa.RecordBatch.from_arrays([*arrays, arrow.array([line for line, _, _ in chunk], pa.int64())], [*columns, "row"])

    def _sentences(self) -> Iterator[tuple[int, str, str]]:
        start, words, tags, short = 0, [], [], 0
        for number, fields in _lines(self.path):
            if fields:
                start = start or number
                short = short or (number if len(fields) < 2 else 0)
                words.append(fields[0])
                tags.append(fields[-1])
                continue
            if short:
                self.rejected.append((start, f"line {short} has a word and no tag"))
            elif words:
                yield start, PART.join(words), PART.join(tags)
            start, words, tags, short = 0, [], [], 0


def looks_like(path: Path) -> bool:
    """Do the first lines of this file look like CoNLL: words with tags such as B-person, and empty lines in between?"""
    if path.suffix.lower() in (".conll", ".bio", ".iob", ".iob2", ".bioes", ".bmes"):
        return True
    try:
        lines = [fields for _, fields in islice(_lines(path), SNIFFED_LINES)]
    except (DataError, OSError):
        return False
    filled = [fields for fields in lines if fields]
    tagged = sum(len(fields) > 1 and bool(TAG.match(fields[-1])) for fields in filled)
    return len(filled) > 1 and len(filled) < len(lines) and tagged >= TAG_SHARE * len(filled)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(number, fields) of every line, and an empty one at the end; comments and document marks count as empty."""
    number = 0
    try:
        with path.open(encoding=encoding.of_file(path), newline=None) as file:
            for number, line in enumerate(file, start=1):
                yield number, _fields(line.rstrip("\r\n"))
    except UnicodeDecodeError as error:
        raise encoding.refuse(path, f"byte {error.start} is not UTF-8") from None
    yield number + 1, []


def _fields(line: str) -> list[str]:
    """A tab, where there is one, is all that separates: a word may hold spaces of other kinds."""
    if not line.strip() or line.startswith(DOCUMENT) or (line.startswith("# ") and "\t" not in line and not TAG.match(line.split()[-1])):
        return []
    fields = [field.strip() for field in line.split("\t")] if "\t" in line else line.split()
    return [fields[0] or "-", *fields[1:]] if len(fields) > 1 else fields
