"""Files of word vectors.

    glove.6B.50d.txt     GloVe: a word and its numbers to a line (also .gz)
    vectors.txt, .vec    word2vec and fastText: the same below a line "words numbers"
    vectors.bin          word2vec, binary
    NAME.safetensors     one table, its words as a JSON list in NAME_vocab.json beside it

All of them have the most frequent words first; a word that comes twice keeps its first vector.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from regraft.errors import TrunkError

FORMS = "GloVe or word2vec text (.txt, .vec, .gz), word2vec binary (.bin), or NAME.safetensors with NAME_vocab.json beside it"
FASTTEXT = (793_712_314).to_bytes(4, "little")


@dataclass(frozen=True, eq=False, slots=True)
class Vectors:
    """``table`` (n, dims) float32, a row to each of ``words``, the most frequent first. ``total``: words in the file."""

    words: tuple[str, ...]
    table: NDArray[np.float32]
    total: int


def read(path: Path, most: int) -> Vectors:
    """The first ``most`` vectors of a file. Raises ``TrunkError`` where it is none, or broken."""
    if not path.is_file():
        raise TrunkError(f"model 'vectors:{path}'", "there is no such file", f"an existing file: {FORMS}")
    facts = path.stat()
    return _read(path.resolve(), most, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=2)
def _read(path: Path, most: int, _changed: int, _size: int) -> Vectors:
    """Kept, as one run opens its model several times."""
    rows = _tensors(path) if path.suffix == ".safetensors" else _binary(path) if path.suffix == ".bin" else _lines(path)
    words: dict[str, NDArray[np.float32]] = {}
    total = 0
    for word, numbers in rows:
        total += 1
        if len(words) < most:
            words.setdefault(word, numbers)
    if not words:
        raise _no_vectors(path, "it holds no vector")
    table = np.stack(list(words.values()))
    if not np.isfinite(table).all():
        raise _no_vectors(path, f"the vector of {list(words)[int(np.argmin(np.isfinite(table).all(1)))]!r} has numbers that are not finite")
    return Vectors(tuple(words), table, total)


def _lines(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """A word may hold spaces (GloVe 840B), so the numbers are counted from the right."""
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        first = file.readline().split()
        heads = len(first) == 2 and all(part.isdigit() for part in first)
        dims = int(first[1]) if heads else len(first) - 1
        if dims < 1:
            raise _no_vectors(path, "its first line is no word with numbers behind it")
        file.seek(0)
        for number, line in enumerate(file, 1):
            if (heads and number == 1) or not line.strip():
                continue
            yield _of_line(path, number, line.rstrip().rsplit(b" ", dims), dims)


def _of_line(path: Path, number: int, parts: list[bytes], dims: int) -> tuple[str, NDArray[np.float32]]:
    try:
        if len(parts) == dims + 1:
            return parts[0].decode("utf-8", "replace").strip(), np.array(parts[1:], dtype=np.float32)
    except ValueError:
        pass  # a word where a number is expected: the line is as broken as one of another length
    raise _no_vectors(path, f"line {number} is not a word and {dims} numbers: {b' '.join(parts)[:60].decode('utf-8', 'replace')!r}")


def _binary(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    with path.open("rb") as file:
        if file.read(4) == FASTTEXT:
            raise TrunkError(
                f"model 'vectors:{path}'", "it is a model of fastText, not a table of vectors", "the .vec file that stands beside it"
            )
        file.seek(0)
        sizes = file.readline(64).split()
        if len(sizes) != 2 or not all(size.isdigit() for size in sizes):
            raise _no_vectors(path, "its first line does not say how many vectors there are, and of how many numbers")
        count, dims = map(int, sizes)
        for _ in range(count):
            word = _word(file)
            numbers = file.read(4 * dims)
            if len(numbers) < 4 * dims:
                raise _no_vectors(path, f"it ends before the {count:,} vectors that it announces")
            yield word, np.frombuffer(numbers, "<f4").astype(np.float32)


def _word(file: BinaryIO) -> str:
    """Up to the next space."""
    letters = bytearray()
    while (letter := file.read(1)) not in (b" ", b""):
        letters += letter
    return letters.decode("utf-8", "replace").lstrip("\n")


def _tensors(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    beside = path.with_name(f"{path.stem}_vocab.json")
    if not beside.is_file():
        raise _no_vectors(path, f"{beside.name}, which names its words, does not stand beside it")
    try:
        tables = [tensor for tensor in load_file(path).values() if tensor.ndim == 2]
        words = json.loads(beside.read_text(encoding="utf-8"))
    except (SafetensorError, ValueError) as error:
        raise _no_vectors(path, str(error)) from error
    if len(tables) != 1 or not isinstance(words, list) or len(words) != len(tables[0]):
        raise _no_vectors(
            path, f"it holds {len(tables)} tables, and {beside.name} {len(words):,} words, where one row for each word is expected"
        )
    yield from zip(map(str, words), tables[0].float().numpy(), strict=True)


def _no_vectors(path: Path, found: str) -> TrunkError:
    return TrunkError(f"model 'vectors:{path}'", found, FORMS)
