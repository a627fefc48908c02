"""Small data sets made up for the tests of this folder."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image


def sentences(count: int, seed: int = 0) -> list[str]:
    """Distinct sentences of twelve made-up words; no two of them look alike."""
    letters = np.random.default_rng(seed).choice(list("abcdefghijklmnopqrstuvwxyz"), (count, 12, 6))
    return [" ".join("".join(word) for word in sentence) for sentence in letters]


def table(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("text", "label"), *rows])
    return path


def save(path: Path, texts: list[str], num_classes: int = 3) -> Path:
    return table(path, [(text, f"c{index % num_classes}") for index, text in enumerate(texts)])


def picture(path: Path, seed: int, size: tuple[int, int] = (24, 24)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def folders(root: Path, per_class: int = 12, names: tuple[str, ...] = ("cats", "dogs"), start: int = 0) -> Path:
    """Class folders of pictures; picture ``i`` of class ``c`` has the seed ``start + 1000 * c + i``."""
    for index, name in enumerate(names):
        for i in range(per_class):
            picture(root / name / f"{i}.jpg", start + 1000 * index + i)
    return root
