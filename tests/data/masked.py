"""A small data set of images with masks: a bright square on a dark ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (24, 32)


def image_and_mask(seed: int, *, values: tuple[int, int] = (0, 1), size: tuple[int, int] = SIZE) -> tuple[Image.Image, Image.Image]:
    """A square that is bright in the image has the second value in the mask; sizes are (height, width)."""
    chance = np.random.default_rng(seed)
    pixels = chance.integers(0, 90, (*size, 3)).astype(np.uint8)
    marks = np.full(size, values[0], np.uint8)
    top, left = int(chance.integers(0, size[0] - 10)), int(chance.integers(0, size[1] - 10))
    pixels[top : top + 10, left : left + 10] += 150
    marks[top : top + 10, left : left + 10] = values[1]
    return Image.fromarray(pixels), Image.fromarray(marks)


def write(
    folder: Path, count: int, *, first: int = 0, images: str = "images", masks: str = "masks", values: tuple[int, int] = (0, 1)
) -> Path:
    """``count`` pairs in ``folder``, each of its own seed."""
    for name in (images, masks):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + count):
        image, mask = image_and_mask(seed, values=values)
        image.save(folder / images / f"{seed:03}.png")
        mask.save(folder / masks / f"{seed:03}.png")
    return folder


def splits(root: Path, *, train: int = 12, valid: int = 4, test: int = 4, values: tuple[int, int] = (0, 1)) -> Path:
    for at, (split, count) in enumerate({"train": train, "val": valid, "test": test}.items()):
        write(root / split, count, first=1000 * at, values=values)
    return root
