"""Random changes of image batches (B, 3, H, W), in the order window, colour, hole. The layout is kept (channels last).

Small batches of small images on a CPU: slicing each image is several times faster than one sampling grid for all, and one
matrix product per image does brightness, contrast and saturation together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from regraft.data.rand_augment import rand_augment
from regraft.errors import RequestError

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601
ASPECT = (3 / 4, 4 / 3)  # width over height of a resized crop
HOLE_AREA, HOLE_ASPECT = (0.02, 1 / 3), (0.3, 1 / 0.3)
PIXELS_PER_ROW = 16  # a product with a 48 x 48 block matrix runs far faster than one with 3 x 3


def change_pixels(
    image: Tensor, changes: Mapping[str, float], chance: np.random.Generator, *, size: tuple[int, int] | None = None
) -> Tensor:
    """Apply ``changes`` (name -> strength) to values in 0..255, uint8 or float; the result is either."""
    image = _moved(image, changes, chance, size=size)
    if "rand_augment" in changes:
        image = rand_augment(image, changes["rand_augment"], chance)
    if "jitter" in changes:
        image = jitter(image, changes["jitter"], chance)
    return erase(image, changes["erase"], chance) if "erase" in changes else image


def change_places(
    mask: Tensor, changes: Mapping[str, float], chance: np.random.Generator, *, size: tuple[int, int] | None = None
) -> Tensor:
    """``mask`` (B, H, W) of integers, moved as ``change_pixels`` moves images with the same ``chance``; every value stays one that was there."""
    return _moved(mask[:, None], changes, chance, size=size, mode="nearest-exact")[:, 0]


def _moved(
    image: Tensor, changes: Mapping[str, float], chance: np.random.Generator, *, size: tuple[int, int] | None, mode: str = "bilinear"
) -> Tensor:
    """The window that each image is cut to, mirrored or not: what comes first, and draws first."""
    size = size or (image.shape[-2], image.shape[-1])
    flips = chance.random(len(image)) < changes.get("flip", 0.0)
    if "crop" in changes:
        return crop(image, int(changes["crop"]), size, flips, chance)
    if "resized_crop" in changes:
        return resized_crop(image, changes["resized_crop"], size, flips, chance, mode=mode)
    return flip(image, flips) if flips.any() else image


def flip(image: Tensor, flips: np.ndarray) -> Tensor:
    result = image.clone()
    for place in np.flatnonzero(flips):
        result[place] = image[place].flip(-1)
    return result


def crop(image: Tensor, padding: int, size: tuple[int, int], flips: np.ndarray, chance: np.random.Generator) -> Tensor:
    """A random window of ``size`` out of the image, mirrored ``padding`` pixels beyond its edge."""
    padded = mirror_pad(image, padding)
    rows, columns = padded.shape[-2] - size[0], padded.shape[-1] - size[1]
    if rows < 0 or columns < 0:
        raise RequestError(
            f"crop={padding} to {size[0]} x {size[1]} pixels", f"the images have {image.shape[-2]} x {image.shape[-1]}", "a larger margin"
        )
    tops, lefts = chance.integers(rows + 1, size=len(image)), chance.integers(columns + 1, size=len(image))
    result = _empty(image, size)
    for place, (top, left, turned) in enumerate(zip(tops, lefts, flips, strict=True)):
        window = padded[place, :, top : top + size[0], left : left + size[1]]
        result[place] = window.flip(-1) if turned else window
    return result


def mirror_pad(image: Tensor, padding: int) -> Tensor:
    """Continue the image beyond its edges as a mirror would; torch's own padding does so for floats only."""
    if padding >= min(image.shape[-2:]):
        raise RequestError(
            f"crop={padding}", f"the images have {image.shape[-2]} x {image.shape[-1]} pixels", "a crop of fewer pixels than the image"
        )
    for axis in (-1, -2):
        before = image.narrow(axis, 1, padding).flip(axis)
        after = image.narrow(axis, image.shape[axis] - padding - 1, padding).flip(axis)
        image = torch.cat([before, image, after], axis)
    return image


def resized_crop(
    image: Tensor, min_area: float, size: tuple[int, int], flips: np.ndarray, chance: np.random.Generator, *, mode: str = "bilinear"
) -> Tensor:
    """A random window of ``min_area``..1 of the area and an aspect of 3:4..4:3, resized to ``size`` (bilinear and antialiased, or by ``mode``)."""
    result = _empty(image, size)
    windows = random_windows(len(image), (image.shape[-2], image.shape[-1]), (min_area, 1.0), ASPECT, chance)
    for place, (top, left, height, width) in enumerate(windows):
        window = image[place : place + 1, :, top : top + height, left : left + width]
        if mode == "bilinear":
            resized = functional.interpolate(window, size, mode=mode, antialias=True)[0]
        else:
            resized = functional.interpolate(window.float(), size, mode=mode)[0].to(image.dtype)
        result[place] = resized.flip(-1) if flips[place] else resized
    return result


def random_windows(
    count: int, size: tuple[int, int], area: tuple[float, float], aspect: tuple[float, float], chance: np.random.Generator
) -> list[tuple[int, int, int, int]]:
    """(top, left, height, width) of ``count`` windows within ``size``: area shares uniform, aspects (width over height) log-uniform."""
    shares = chance.uniform(*area, size=count) * size[0] * size[1]
    aspects = np.exp(chance.uniform(math.log(aspect[0]), math.log(aspect[1]), size=count))
    heights = np.clip(np.rint(np.sqrt(shares / aspects)), 1, size[0]).astype(int)
    widths = np.clip(np.rint(np.sqrt(shares * aspects)), 1, size[1]).astype(int)
    tops, lefts = chance.integers(size[0] - heights + 1), chance.integers(size[1] - widths + 1)
    return list(zip(tops.tolist(), lefts.tolist(), heights.tolist(), widths.tolist(), strict=True))


def jitter(image: Tensor, strength: float, chance: np.random.Generator) -> Tensor:
    """Brightness, then contrast about the mean grey, then saturation, as one affine map of colours per image; float result."""
    count, channels, height, width = image.shape
    together = math.gcd(height * width, PIXELS_PER_ROW)
    rows = image.permute(0, 2, 3, 1).reshape(count, -1, together * channels).float()
    grey = torch.tensor(GREY, device=image.device)
    mean_grey = (rows.mean(1).view(count, together, channels).mean(1) @ grey)[:, None, None]
    factors = chance.uniform(1 - strength, 1 + strength, size=(3, count, 1, 1)).astype(np.float32)
    brightness, contrast, saturation = torch.from_numpy(factors).to(image.device)
    to_grey = grey[:, None].expand(3, 3)
    colours = brightness * contrast * (saturation * torch.eye(3, device=image.device) + (1 - saturation) * to_grey)
    offset = brightness * (1 - contrast) * mean_grey
    changed = torch.bmm(rows, _repeated(colours, together)).add_(offset).clamp_(0, 255)
    return changed.view(count, height, width, channels).permute(0, 3, 1, 2)


def _repeated(matrices: Tensor, times: int) -> Tensor:
    """(B, 3, 3) -> (B, 3 x times, 3 x times): the matrix again and again along the diagonal, zeros elsewhere."""
    count, side = matrices.shape[:2]
    blocks = matrices.new_zeros(count, times, side, times, side)
    for place in range(times):
        blocks[:, place, :, place, :] = matrices
    return blocks.view(count, times * side, times * side)


def erase(image: Tensor, probability: float, chance: np.random.Generator) -> Tensor:
    """With ``probability`` a rectangle of 2 to 33% of the area takes the mean colour of its image."""
    result = image.clone()
    chosen = chance.random(len(image)) < probability
    windows = random_windows(len(image), (image.shape[-2], image.shape[-1]), HOLE_AREA, HOLE_ASPECT, chance)
    for place in np.flatnonzero(chosen):
        top, left, height, width = windows[place]
        colour = image[place].float().mean((-1, -2), keepdim=True)
        result[place, :, top : top + height, left : left + width] = colour.to(image.dtype)
    return result


def _empty(image: Tensor, size: tuple[int, int]) -> Tensor:
    shape = (len(image), image.shape[1], *size)
    return torch.empty(shape, dtype=image.dtype, device=image.device, memory_format=torch.channels_last)
