"""Mask files: an image whose pixels are not colours but classes. Palette and grey masks hold a number for each pixel, colour masks a colour.

Free of torch. A value is the number of a grey or palette pixel, or 65536 r + 256 g + b of a colour one.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from regraft import digest
from regraft.errors import DataError
from regraft.spec import PART

GREY = 0x010101
"""Times a grey level: its colour."""
VOID = 255
"""The class index, in eight bits, of a pixel that counts for nothing."""
MOST_CLASSES = 255
Mode = Literal["grey", "colour"]
COLOURS = ("RGB", "RGBA", "CMYK", "YCbCr")
BROKEN = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
HELD = 256
"""Masks that are kept decoded: those of a split that is measured on after every epoch."""


@dataclass(frozen=True, slots=True)
class MaskLook:
    """One mask file. ``fault`` is empty where it can be read; ``size``: (width, height); ``values``: value -> pixels that have it; ``mode``: how its
    values are to be read; ``palette``: value -> (r, g, b), where the file says so."""

    fault: str
    size: tuple[int, int] = (0, 0)
    values: Mapping[int, int] = field(default_factory=dict)
    mode: Mode = "grey"
    palette: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    digest: str = ""

    def values_as(self, mode: Mode) -> dict[int, int]:
        """``values`` as masks of this ``mode`` hold them: a grey one among colour masks is one of grey colours."""
        return {number * GREY: count for number, count in self.values.items()} if mode != self.mode == "grey" else dict(self.values)


def look(path: str | Path) -> MaskLook:
    """Every pixel of the mask at ``path``; a colour file whose colours are all grey is a grey one."""
    try:
        data = Path(path).read_bytes()
        with Image.open(BytesIO(data)) as image:
            if image.format == "JPEG":
                return MaskLook("mask is a JPEG, which blurs the values of its pixels: save masks as PNG")
            numbers = _numbers(image)
            counts = _counts(numbers)
            mode: Mode = "colour" if image.mode in COLOURS and not all(map(_is_grey, counts)) else "grey"
            found = {_shortened(value, image.mode, mode): count for value, count in counts.items()}
            return MaskLook("", image.size, found, mode, _palette(image, found), digest.of_bytes(data))
    except FileNotFoundError:
        return MaskLook("no mask: no such file")
    except UnidentifiedImageError:
        return MaskLook("mask is not an image")
    except BROKEN as error:
        return MaskLook(f"mask is truncated or damaged: {error}")


def raw(path: str, mode: str) -> np.ndarray:
    """(height, width) values of the mask at ``path``."""
    with Image.open(path) as image:
        numbers = _numbers(image)
        if image.mode in COLOURS:
            return numbers & 255 if mode == "grey" else numbers
        return numbers.astype(np.int32) * GREY if mode == "colour" else numbers


@lru_cache(maxsize=HELD)
def _held(path: str, stamp: int, mode: str, known: tuple[tuple[int, ...], ...]) -> np.ndarray:
    found = as_classes(raw(path, mode), known)
    found.setflags(write=False)
    return found


def classes_at(target: str, facts: Mapping[str, Any]) -> np.ndarray:
    """(height, width) uint8 indices of classes, ``VOID`` where a pixel counts for nothing, of the mask that ``target`` means. ``facts``: what
    ``data.targets.masks`` learnt. Read-only. Raises ``DataError`` where the file is no longer what it was."""
    path = path_of(target)
    try:
        return _held(path, Path(path).stat().st_mtime_ns, facts["mode"], tuple(tuple(values) for values in facts["values"]))
    except BROKEN as error:
        raise DataError(f"read the mask {path}", str(error) or type(error).__name__, "`regraft check` lists every broken file") from error


def resized(classes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Indices of classes at ``size`` (height, width): the nearest pixel's."""
    if classes.shape == size:
        return classes
    return np.asarray(Image.fromarray(classes).resize((size[1], size[0]), Image.Resampling.NEAREST))


def as_classes(values: np.ndarray, known: Sequence[Sequence[int]]) -> np.ndarray:
    """uint8 indices of classes; what is none of the ``known`` values of a class is ``VOID``."""
    if values.dtype == np.uint8:
        table = np.full(256, VOID, np.uint8)
        for index, numbers in enumerate(known):
            table[[number for number in numbers if number < 256]] = index
        return table[values]
    found = np.full(values.shape, VOID, np.uint8)
    for index, numbers in enumerate(known):
        found[np.isin(values, np.asarray(numbers))] = index
    return found


def target_of(path: str, digest: str) -> str:
    """How a column of masks names one: by its path, and by what is in it."""
    return f"{path}{PART}{digest}"


def path_of(target: str) -> str:
    return target.partition(PART)[0]


def colour_of(value: int) -> tuple[int, int, int]:
    return value >> 16, value >> 8 & 255, value & 255


def painted(classes: np.ndarray, facts: Mapping[str, Any]) -> np.ndarray:
    """(height, width, 3) uint8: ``classes`` in their colours, white where a pixel counts for nothing."""
    table = np.full((256, 3), 255, np.uint8)
    table[: len(facts["colours"])] = facts["colours"]
    return table[classes]


def image_of(classes: np.ndarray, facts: Mapping[str, Any]) -> Image.Image:
    """A mask as the data writes its own: the same value for the same class. Values that fit a byte are a palette image in the classes' colours."""
    first = [group[0] for group in facts["values"]]
    if facts["mode"] == "colour":
        return Image.fromarray(painted(classes, facts))
    if max(first) > 255:
        return Image.fromarray(np.asarray(first, np.uint16)[classes])
    image = Image.fromarray(np.asarray(first, np.uint8)[classes])
    palette = np.zeros((256, 3), np.uint8)
    palette[first] = facts["colours"]
    image.putpalette(palette.tobytes())
    return image


def uri_of(classes: np.ndarray, facts: Mapping[str, Any]) -> str:
    """A PNG of the mask as a data URI."""
    buffer = BytesIO()
    image_of(classes, facts).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def usual_colours(count: int) -> list[tuple[int, int, int]]:
    """Colours that are easy to tell apart: those of Pascal VOC, bit by bit."""
    return [tuple(sum((index >> 3 * bit + channel & 1) << 7 - bit for bit in range(3)) for channel in range(3)) for index in range(count)]  # type: ignore[misc]


def _numbers(image: Image.Image) -> np.ndarray:
    if image.mode in COLOURS:
        pixels = np.asarray(image.convert("RGB"), np.int32)
        return (pixels[..., 0] << 16) + (pixels[..., 1] << 8) + pixels[..., 2]
    if image.mode == "LA":
        image = image.getchannel(0)
    numbers = np.asarray(image)
    return numbers.astype(np.uint8) if numbers.dtype in (np.bool_, np.uint8) else numbers.astype(np.int32)


def _counts(numbers: np.ndarray) -> dict[int, int]:
    """Value -> pixels that have it."""
    if numbers.dtype == np.uint8:
        counts = np.bincount(numbers.ravel(), minlength=256)
        return {value: int(counts[value]) for value in np.flatnonzero(counts).tolist()}
    values, counts = np.unique(numbers, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _is_grey(value: int) -> bool:
    red, green, blue = colour_of(value)
    return red == green == blue


def _shortened(value: int, form: str, mode: Mode) -> int:
    return value & 255 if form in COLOURS and mode == "grey" else value


def _palette(image: Image.Image, values: Mapping[int, int]) -> dict[int, tuple[int, int, int]]:
    if image.mode != "P" or image.palette is None:
        return {}
    flat = image.getpalette("RGB") or []
    return {value: (flat[3 * value], flat[3 * value + 1], flat[3 * value + 2]) for value in values if 3 * value + 2 < len(flat)}
