"""Names as people write them: splits, image files, and classes in the order in which a person would list them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from regraft.spec import InputKind

IMAGE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
AUDIO_ENDINGS = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a"})
FILE_ENDINGS: dict[InputKind, frozenset[str]] = {"image": IMAGE_ENDINGS, "audio": AUDIO_ENDINGS}
"""Kinds of input that are files; of texts it is what stands in the file."""
SPLIT_OF = {
    "train": "train", "training": "train", "trn": "train", "训练集": "train",
    "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid", "development": "valid", "验证集": "valid",
    "test": "test", "testing": "test", "tst": "test", "测试集": "test",
}  # fmt: skip
_NUMBER = re.compile(r"^\s*[-+]?[0-9]+(\.[0-9]*)?\s*$")
_SHARD = re.compile(r"^([a-z]+)[-_.]\d+[-_.]of[-_.]\d+$")


def split_of(name: str) -> str | None:
    """``train``, ``valid`` or ``test`` for a folder's or file's name (without ending), else None; ``train-00000-of-00004`` is train."""
    plain = name.strip().lower()
    shard = _SHARD.match(plain)
    return SPLIT_OF.get(shard.group(1) if shard else plain)


def in_order(names: Iterable[str]) -> list[str]:
    """Sorted by name, numbers inside names by value: ``-1 0 2 10``, ``grade 2`` before ``grade 10``."""
    known = list(names)
    if all(_NUMBER.match(name) for name in known):
        return sorted(known, key=lambda name: (float(name), name))
    return sorted(known, key=natural)


def natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A sort key that reads runs of digits as numbers and ignores case, except to break ties."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts], name


def folded(name: str) -> str:
    """The name without case and surrounding or repeated spaces: equal for labels that a person would take for the same."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
