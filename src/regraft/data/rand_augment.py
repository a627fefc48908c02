"""RandAugment (Cubuk et al. 2020): two operations drawn at random for each image, all at one magnitude.

torchvision has the operations, and a class that draws them, but only from torch's global generator, which training shares.
Here the draws are handed in, and images that drew the same operation go through it together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

NUM_OPERATIONS = 2
HIGHEST = 30.0
FILL = [128.0, 128.0, 128.0]

Operation = Callable[[Tensor, float, float], Tensor]
"""(images uint8, strength 0..1, sign +1 or -1) -> images."""


def _move(
    images: Tensor, *, right: float = 0.0, down: float = 0.0, shear_x: float = 0.0, shear_y: float = 0.0, angle: float = 0.0
) -> Tensor:
    """Shift by shares of the size, shear and turn by degrees; what comes in is mid-grey."""
    shift = [right * images.shape[-1], down * images.shape[-2]]
    return functional.affine(images, angle=angle, translate=shift, scale=1.0, shear=[shear_x, shear_y], fill=FILL)


SHEAR_DEGREES = float(np.degrees(np.arctan(0.3)))
TURN_DEGREES = 30.0
SHIFT = 150.0 / 331.0
COLOUR = 0.9

OPERATIONS: tuple[Operation, ...] = (
    lambda images, strength, sign: images,
    lambda images, strength, sign: _move(images, shear_x=sign * strength * SHEAR_DEGREES),
    lambda images, strength, sign: _move(images, shear_y=sign * strength * SHEAR_DEGREES),
    lambda images, strength, sign: _move(images, right=sign * strength * SHIFT),
    lambda images, strength, sign: _move(images, down=sign * strength * SHIFT),
    lambda images, strength, sign: _move(images, angle=sign * strength * TURN_DEGREES),
    lambda images, strength, sign: functional.adjust_brightness(images, 1 + sign * strength * COLOUR),
    lambda images, strength, sign: functional.adjust_saturation(images, 1 + sign * strength * COLOUR),
    lambda images, strength, sign: functional.adjust_contrast(images, 1 + sign * strength * COLOUR),
    lambda images, strength, sign: functional.adjust_sharpness(images, 1 + sign * strength * COLOUR),
    lambda images, strength, sign: functional.posterize(images, 8 - round(4 * strength)),
    lambda images, strength, sign: functional.solarize(images, 255.0 * (1 - strength)),
    lambda images, strength, sign: functional.autocontrast(images),
    lambda images, strength, sign: functional.equalize(images),
)


def rand_augment(image: Tensor, magnitude: float, chance: np.random.Generator) -> Tensor:
    """(B, 3, H, W) of 0..255 -> the same shape, uint8; ``magnitude`` 0..30."""
    result = image.round().clamp(0, 255).to(torch.uint8) if image.is_floating_point() else image.clone()
    for _ in range(NUM_OPERATIONS):
        drawn = chance.integers(len(OPERATIONS), size=len(image)) * 2 + chance.integers(2, size=len(image))
        for operation_and_sign in np.unique(drawn):
            rows = torch.from_numpy(np.flatnonzero(drawn == operation_and_sign)).to(image.device)
            operation, sign = OPERATIONS[operation_and_sign // 2], 1.0 if operation_and_sign % 2 else -1.0
            result[rows] = operation(result[rows], magnitude / HIGHEST, sign)
    return result
