"""Image files: are they whole, what do they hold, what do they look like. Free of torch; pixels for training come from ``encode``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from regraft import digest
from regraft.data.dataset import Dataset, Progress

THUMB = 16
WHOLE_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
END_WITHIN_BYTES = 4096
WINDOW = 256
BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises on damaged files

Seen = TypeVar("Seen")


class Look(NamedTuple):
    """One image file. ``fault`` is empty for a readable image; ``digest``: of the file's bytes; ``pixels``: digest of size and decoded RGB
    pixels, filled when all was decoded; ``dhash``: 64 bits; ``thumb``: (16, 16) grey uint8; ``size``: (width, height)."""

    fault: str
    digest: str = ""
    size: tuple[int, int] = (0, 0)
    pixels: str = ""
    dhash: int = 0
    thumb: np.ndarray | None = None


def glance(path: Path) -> Look:
    """Header and end of the file: cheap, finds what is no image, empty or cut off."""
    return _look(path, _nothing_more)


def study(path: Path) -> Look:
    """A glance, and a small grey view for comparing (JPEG files are decoded at reduced size)."""
    return _look(path, _small_view)


def examine(path: Path) -> Look:
    """Everything: every pixel is decoded."""
    return _look(path, _all_pixels)


def each(look: Callable[[Path], Seen], paths: Iterable[str | Path]) -> Iterator[Seen]:
    """``look`` over ``paths`` in order, in threads (Pillow and libsndfile decode outside the interpreter's lock), at most a window at a time in memory."""
    remaining = map(Path, paths)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which is harmless, and of very large images, which inspect reports
        while window := list(islice(remaining, WINDOW)):
            yield from pool.map(look, window)


def every_file(dataset: Dataset, look: Callable[[Path], Seen], *, saying: str, progress: Progress | None = None) -> dict[str, list[Seen]]:
    """``look`` at the file of every row: split -> what was seen, row by row. ``saying``: what ``progress`` is told to be going on."""
    found: dict[str, list[Seen]] = {}
    done = 0
    for name, split in dataset.splits.items():
        found[name] = []
        for seen in each(look, split.inputs):
            found[name].append(seen)
            done += 1
            if progress and done % WINDOW == 0:
                progress(saying, done, dataset.num_examples)
    return found


def _look(path: Path, further: Callable[[Image.Image, bool], dict[str, Any]]) -> Look:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Look("no such file")
    except OSError as error:
        return Look(f"cannot be read: {error.strerror}")
    if not data:
        return Look("0 bytes")
    try:
        with Image.open(BytesIO(data)) as image:
            ending = WHOLE_ENDS.get(image.format or "")
            seems_whole = ending is not None and ending in data[-END_WITHIN_BYTES:]
            return Look("", digest.of_bytes(data), image.size, **further(image, seems_whole))
    except UnidentifiedImageError:
        return Look(f"not an image: the file begins with {data[:16]!r}")
    except BROKEN as error:
        return Look(f"truncated or damaged: {error}")


def _nothing_more(image: Image.Image, seems_whole: bool) -> dict[str, Any]:
    if not seems_whole:
        image.load()
    return {}


def _small_view(image: Image.Image, seems_whole: bool) -> dict[str, Any]:
    image.draft("L", (4 * THUMB, 4 * THUMB))
    return _view(image)


def _all_pixels(image: Image.Image, seems_whole: bool) -> dict[str, Any]:
    rgb = image.convert("RGB")
    width, height = rgb.size
    return {"pixels": digest.of_bytes(b"%dx%d" % (width, height), rgb.tobytes()), **_view(rgb)}


def _view(image: Image.Image) -> dict[str, Any]:
    """Thumb and difference hash (each of 8 x 8 cells: is the next one brighter)."""
    grey = image.convert("L")
    steps = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = np.packbits((steps[:, 1:] > steps[:, :-1]).ravel())
    return {"dhash": int.from_bytes(bits.tobytes(), "big"), "thumb": np.asarray(grey.resize((THUMB, THUMB), Image.Resampling.BOX))}
