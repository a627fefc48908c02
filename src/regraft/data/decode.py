"""One image file to pixels: whatever its mode, orientation or size, the result is upright 8-bit RGB of the size asked for."""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL import __version__ as pillow_version

from regraft.errors import DataError, RequestError
from regraft.spec import InputSpec

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)
DRAFT_MARGIN = 2  # a JPEG is decoded at a half, quarter or eighth as long as it stays this many times larger than the result


@dataclass(frozen=True, slots=True)
class Framing:
    """An image is scaled until it just covers ``cover`` (height, width), then its middle ``size`` is kept. ``whole``: all of it is kept, and it is
    stretched to ``size``: every place of it is to be answered for."""

    size: tuple[int, int]
    cover: tuple[int, int]
    interpolation: str = "bicubic"
    whole: bool = False

    @classmethod
    def of(cls, spec: InputSpec, *, margin: float = 1.0, whole: bool = False) -> Framing:
        """``margin`` times the model's size is kept, at the scale at which the model is evaluated as long as the image has that much at it."""
        if spec.size is None:
            raise RequestError("encode images", "the model states no image size", "--set input_size=224, or the size it was trained at")
        if margin < 1.0:
            raise RequestError(f"margin={margin}", "a margin below 1 leaves less than the model needs", "margin=1.0 or more")
        if spec.interpolation not in RESAMPLING:
            raise RequestError(f"interpolation {spec.interpolation!r}", "no such way to resize", f"one of: {', '.join(RESAMPLING)}")
        height, width = (round(side * margin) for side in spec.size)
        if whole:
            return cls((height, width), (height, width), spec.interpolation, whole)
        cover = max(height, int(spec.size[0] / spec.crop_fraction)), max(width, int(spec.size[1] / spec.crop_fraction))
        return cls((height, width), cover, spec.interpolation)

    def json(self) -> dict[str, Any]:
        named = asdict(self)
        return {**{name: value for name, value in named.items() if name != "whole" or value}, "decoder": f"pillow {pillow_version}"}


def decode(path: str, framing: Framing) -> np.ndarray:
    """Pixels (height, width, 3) uint8. Raises ``DataError`` that names the file where it is not a whole image."""
    try:
        with Image.open(path) as image:
            longest = DRAFT_MARGIN * max(framing.cover)
            image.draft(None, (longest, longest))
            upright = ImageOps.exif_transpose(image)
            return frame(to_rgb(upright), framing)
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def shorter_side(path: str) -> int:
    """Pixels along the shorter side, from the file's header alone. Raises ``DataError`` as ``decode`` does."""
    try:
        with Image.open(path) as image:
            return min(image.size)
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> DataError:
    return DataError(
        f"read the image {path}", str(error) or type(error).__name__, "`regraft check` lists every broken file; repair or remove it"
    )


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB: 16-bit grey by its high byte, transparency over white, all else by Pillow's own conversion."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_bytes(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    return image.convert("RGB")


def _to_bytes(grey: np.ndarray) -> np.ndarray:
    """Grey levels to 0..255: integers are taken to fill 16 bits, floats to fill 0..1, or 0..255 where one is above 1."""
    if np.issubdtype(grey.dtype, np.integer):
        return (np.clip(grey, 0, 65535) >> 8).astype(np.uint8)
    scale = 255.0 if grey.max(initial=0.0) <= 1.0 else 1.0
    return np.clip(np.nan_to_num(grey) * scale, 0, 255).astype(np.uint8)


def frame(image: Image.Image, framing: Framing) -> np.ndarray:
    """Scale and crop; the rounding is torchvision's (``Resize`` of the shorter side, ``CenterCrop``), so the pixels are too."""
    if framing.whole:
        return np.asarray(image.resize(framing.size[::-1], RESAMPLING[framing.interpolation]))
    width, height = image.size
    cover_height, cover_width = framing.cover
    if cover_height * width <= cover_width * height:
        scaled = cover_width, max(cover_height, int(cover_width * height / width))
    else:
        scaled = max(cover_width, int(cover_height * width / height)), cover_height
    if scaled != image.size:
        image = image.resize(scaled, RESAMPLING[framing.interpolation])
    top, left = round((scaled[1] - framing.size[0]) / 2), round((scaled[0] - framing.size[1]) / 2)
    return np.asarray(image)[top : top + framing.size[0], left : left + framing.size[1]]
