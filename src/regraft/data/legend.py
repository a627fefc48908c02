"""What the values in masks mean: a file of class names beside the data, and the values that a person says are to be ignored.

classes.txt      one name a line, in the order of the values         0 sky / 0,sky / sky,0 with the value written out
label_colors.txt  64 128 128 sky / sky,64,128,128                    with a colour
classes.json     ["sky", ...], {"0": "sky"} or {"sky": 0}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from regraft.data.names import folded
from regraft.errors import DataError

FILES = (
    "classes.txt", "classes.csv", "classes.json", "labels.txt", "label_colors.txt", "labelmap.txt", "class_dict.csv", "codes.txt", "names.txt",
    "类别.txt",
)  # fmt: skip
IGNORED = ("void", "ignore", "ignored", "unlabelled", "unlabeled", "dont care", "don't care", "未标注", "忽略")
IGNORE = "ignore="


@dataclass(frozen=True, slots=True)
class Legend:
    """``names``: value -> class, empty where no file says it; ``ignore``: values that a person gave; ``file``: where the names come from."""

    names: dict[int, str] = field(default_factory=dict)
    ignore: frozenset[int] = frozenset()
    file: str = ""

    @classmethod
    def of(cls, folders: list[Path], ignore: frozenset[int] = frozenset()) -> Legend:
        """The first file of class names in one of ``folders``."""
        places = (folder / name for folder in folders for name in FILES)
        file = next((place for place in places if place.is_file()), None)
        return cls(_read(file), ignore, file.name) if file else cls(ignore=ignore)


def is_ignored(name: str) -> bool:
    """Does a class of this name say that its pixels count for nothing?"""
    plain = folded(re.sub(r"\(.*\)", "", name))
    return plain in IGNORED


def parted(target: str | None) -> tuple[str | None, frozenset[int]]:
    """What ``--target`` says of masks: a column or folder, and values to ignore (``masks,ignore=11``, ``ignore=11,ignore=255``)."""
    words = [word.strip() for word in (target or "").split(",") if word.strip()]
    given = [word[len(IGNORE) :] for word in words if word.startswith(IGNORE)]
    wrong = next((value for value in given if not value.isdigit()), None)
    if wrong is not None:
        raise DataError(
            f"--target {target}", f"{wrong!r} is no value of a pixel", "--target ignore=255, with the number that stands in the masks"
        )
    names = [word for word in words if not word.startswith(IGNORE)]
    return ",".join(names) or None, frozenset(map(int, given))


def _read(file: Path) -> dict[int, str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        found = dict(_of_json(json.loads(text)) if file.suffix == ".json" else _of_lines(text))
    except (UnicodeDecodeError, json.JSONDecodeError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"read the class names in {file}", str(error), "one name a line, in the order of the values in the masks") from None
    if not found:
        raise DataError(f"read the class names in {file}", "it names no class", "one name a line, in the order of the values in the masks")
    return found


def _of_json(document: object) -> Iterator[tuple[int, str]]:
    if isinstance(document, list):
        yield from enumerate(map(str, document))
    elif isinstance(document, dict):
        for key, value in document.items():
            yield (int(value), str(key)) if isinstance(value, int) else (int(key), str(value))


def _of_lines(text: str) -> Iterator[tuple[int, str]]:
    lines = [line for line in (line.strip() for line in text.splitlines()) if line and not line.startswith("#")]
    rows = [_row(line) for line in lines]
    if not all(numbers for numbers, _ in rows[1:]):
        rows = [([], line) for line in lines]  # names alone, some of which end in a number
    elif len(rows) > 1 and not rows[0][0]:
        rows = rows[1:]  # a header
    for place, (numbers, name) in enumerate(rows):
        if len(numbers) not in (0, 1, 3) or not name:
            raise ValueError(f"line {place + 1} has {len(numbers)} numbers and the name {name!r}")
        red, green, blue = numbers if len(numbers) == 3 else (0, 0, numbers[0] if numbers else place)
        yield (red << 16) + (green << 8) + blue, name


def _row(line: str) -> tuple[list[int], str]:
    """The numbers at either end of a line and the name between or beside them."""
    words = [word for word in re.split(r"[\s,;:]+", line) if word]
    front = next((i for i, word in enumerate(words) if not word.isdigit()), len(words))
    back = next((i for i, word in enumerate(reversed(words)) if not word.isdigit()), len(words))
    if front:
        return [int(word) for word in words[:front]], " ".join(words[front:])
    return [int(word) for word in words[len(words) - back :]], " ".join(words[: len(words) - back])
