"""Masks move with their images."""

from __future__ import annotations

import pytest
import torch

from regraft.data.augment import Augmentation
from regraft.data.encoded import IGNORE


def paired(count: int = 6, size: int = 16):
    """Images whose red channel is the class of the pixel, times ten."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.randint(0, 5, (count, size // 4, size // 4), generator=generator).repeat_interleave(4, 1).repeat_interleave(4, 2)
    return (mask[:, None] * 10).expand(-1, 3, -1, -1).to(torch.uint8).contiguous(), mask


@pytest.mark.parametrize("changes", [{"flip": 1.0}, {"crop": 3, "flip": 0.5}])
def test_a_mask_is_still_the_mask_of_its_image(changes):
    image, mask = paired()
    made = Augmentation.of(changes, "image").apply({"image": image, "mask": mask}, torch.Generator().manual_seed(3))
    assert torch.equal(made["image"][:, 0].long(), made["mask"] * 10)
    assert not torch.equal(made["mask"], mask)


def test_a_resized_window_keeps_values_that_are_classes():
    image, mask = paired()
    mask[:, 0, 0] = IGNORE
    made = Augmentation.of({"resized_crop": 0.4}, "image").apply({"image": image, "mask": mask}, torch.Generator().manual_seed(3))
    assert set(made["mask"].unique().tolist()) <= {IGNORE, 0, 1, 2, 3, 4}
    near = (made["image"][:, 0].float() - made["mask"] * 10).abs() <= 5
    assert float(near[made["mask"] >= 0].float().mean()) > 0.7


def test_images_are_changed_as_without_a_mask():
    image, mask = paired()
    augmentation = Augmentation.of({"crop": 3, "flip": 0.5, "jitter": 0.2}, "image")
    with_mask = augmentation.apply({"image": image, "mask": mask}, torch.Generator().manual_seed(3))["image"]
    alone = augmentation.apply({"image": image}, torch.Generator().manual_seed(3))["image"]
    assert torch.equal(with_mask, alone)
