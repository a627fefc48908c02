from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.data.augment import KNOBS, MIXING, Augmentation
from regraft.data.rand_augment import OPERATIONS
from regraft.errors import RequestError

IMAGE_CHANGES = [name for name, knob in KNOBS.items() if knob.kind == "image" and name not in MIXING]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 8, size: tuple[int, int] = (24, 20)) -> torch.Tensor:
    """Smooth random pictures, channels last as ``encode`` hands them out."""
    small = torch.rand((count, 3, 4, 4), generator=seeded(9)) * 255
    large = torch.nn.functional.interpolate(small, size, mode="bicubic").clamp(0, 255)
    return large.to(torch.uint8).contiguous(memory_format=torch.channels_last)


def changed(
    pairs: dict[str, float | int | bool | str], image: torch.Tensor, seed: int = 0, size: tuple[int, int] | None = None
) -> torch.Tensor:
    return Augmentation.of(pairs, "image").apply({"image": image}, seeded(seed), size=size)["image"]


@pytest.mark.parametrize("name", IMAGE_CHANGES)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(name: str) -> None:
    first, again, other = (changed({name: True}, images(), seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", IMAGE_CHANGES)
def test_shape_range_layout_and_the_input_itself_are_kept(name: str) -> None:
    image = images()
    before = image.clone()
    result = changed({name: True}, image)
    assert result.shape == image.shape and result.is_contiguous(memory_format=torch.channels_last)
    assert float(result.min()) >= 0 and float(result.max()) <= 255
    assert torch.equal(image, before)
    assert not torch.equal(result.float(), image.float())


@pytest.mark.parametrize("name", IMAGE_CHANGES)
def test_changes_do_not_touch_torch_s_global_generator(name: str) -> None:
    before = torch.get_rng_state()
    changed({name: True}, images())
    assert torch.equal(torch.get_rng_state(), before)


@settings(max_examples=30, deadline=None)
@given(names=st.sets(st.sampled_from(IMAGE_CHANGES)), seed=st.integers(0, 2**31), dtype=st.sampled_from([torch.uint8, torch.float32]))
def test_any_composition_works_on_bytes_and_floats(names: set[str], seed: int, dtype: torch.dtype) -> None:
    names -= {"crop"} if "resized_crop" in names else set()
    result = changed(dict.fromkeys(names, True), images(3).to(dtype), seed)
    assert result.shape == (3, 3, 24, 20)
    assert bool(torch.isfinite(result.float()).all()) and 0 <= float(result.min()) <= float(result.max()) <= 255


def test_crop_cuts_whole_windows_out_of_the_mirrored_image() -> None:
    image = images(40)
    padded = torch.nn.functional.pad(image.float(), (3, 3, 3, 3), mode="reflect").to(torch.uint8)
    result = changed({"crop": 3}, image)
    for before, after in zip(padded, result, strict=True):
        windows = before.unfold(1, 24, 1).unfold(2, 20, 1).permute(1, 2, 0, 3, 4).reshape(-1, 3, 24, 20)
        assert len(windows) == 49 and bool((windows == after).all(dim=(1, 2, 3)).any())


def test_crop_uses_up_the_margin_where_a_size_is_given() -> None:
    image = images(16, (24, 24))
    result = changed({"crop": 0, "resized_crop": 0.5}, image, size=(16, 16))
    assert result.shape == (16, 3, 16, 16)
    result = changed({"crop": 1}, image, size=(20, 20))
    assert result.shape == (16, 3, 20, 20)


def test_flip_turns_the_given_share_of_images() -> None:
    image = images(400)
    result = changed({"flip": 0.25}, image)
    turned = torch.tensor([torch.equal(after, before.flip(-1)) for before, after in zip(image, result, strict=True)])
    kept = torch.tensor([torch.equal(after, before) for before, after in zip(image, result, strict=True)])
    assert bool((turned ^ kept).all()) and 70 <= int(turned.sum()) <= 130
    assert torch.equal(changed({"flip": 1.0}, image), image.flip(-1))


def test_a_resized_crop_of_the_whole_area_stays_close_and_a_small_one_does_not() -> None:
    image = images(30, (32, 32))
    whole, small = ((changed({"resized_crop": share}, image).float() - image.float()).abs().mean() for share in (1.0, 0.1))
    assert whole < 12 and small > 2 * whole


@pytest.mark.parametrize("strength", [0.1, 0.6])
def test_jitter_equals_torchvision_s_operations_in_its_order(strength: float) -> None:
    from torchvision.transforms.v2 import functional

    from regraft.data.pixels import jitter

    image = images(6).float() * 0.25 + 96  # nothing reaches 0 or 255, where clamping between operations would count
    result = jitter(image, strength * 0.5, np.random.default_rng(1))
    factors = np.random.default_rng(1).uniform(1 - strength * 0.5, 1 + strength * 0.5, size=(3, 6, 1, 1))
    for place in range(6):
        brightness, contrast, saturation = (float(value) for value in factors[:, place, 0, 0])
        unit = functional.adjust_brightness(image[place] / 255, brightness)
        expected = functional.adjust_saturation(functional.adjust_contrast(unit, contrast), saturation) * 255
        torch.testing.assert_close(result[place], expected, atol=0.02, rtol=0)


def test_erase_covers_one_rectangle_with_one_colour() -> None:
    image = images(200)
    result = changed({"erase": 1.0}, image)
    covered = (result != image).any(dim=1).float().mean((1, 2))
    assert float(covered.max()) < 0.4 and float((covered > 0.01).float().mean()) > 0.9
    assert torch.equal(changed({"erase": 1e-12}, image), image)


@pytest.mark.parametrize("operation", range(len(OPERATIONS)))
def test_each_operation_of_rand_augment_keeps_bytes_and_does_more_at_a_higher_magnitude(operation: int) -> None:
    image = images(4, (32, 32))
    weak, strong = (OPERATIONS[operation](image, strength, 1.0) for strength in (0.05, 0.9))
    assert weak.dtype == strong.dtype == torch.uint8 and weak.shape == image.shape
    assert (strong.float() - image.float()).abs().mean() >= (weak.float() - image.float()).abs().mean()
    if operation:
        assert not torch.equal(strong, image)


@pytest.mark.parametrize("name", sorted(MIXING))
def test_mixing_keeps_probabilities_and_follows_the_image(name: str) -> None:
    """Example i has ones in channel i alone, so the mean of a mixed image is what its target must be."""
    count = 64
    image = torch.nn.functional.one_hot(torch.arange(count)).float()[:, :, None, None].expand(count, count, 20, 20)
    mixed, targets = Augmentation.of({name: 1.0}, "image").mix({"image": image}, torch.eye(count), seeded())
    torch.testing.assert_close(targets.sum(1), torch.ones(count))
    torch.testing.assert_close(mixed["image"].mean((2, 3)), targets, atol=1e-5, rtol=0)
    assert 0.2 < float(targets.diagonal().mean()) < 0.9
    assert float(targets.max(1).values.std()) > 0.05  # every example has a share of its own


def test_mixing_is_one_seed_one_result_and_takes_bytes() -> None:
    augmentation = Augmentation.of({"mixup": 0.4, "cutmix": True}, "image")
    results = [augmentation.mix({"image": images()}, torch.eye(8), seeded(seed)) for seed in (5, 5, *range(6, 14))]
    assert torch.equal(results[0][0]["image"], results[1][0]["image"]) and torch.equal(results[0][1], results[1][1])
    assert {inputs["image"].dtype for inputs, _ in results} == {torch.uint8, torch.float32}  # cutmix and mixup have both come


def test_what_is_off_changes_nothing_and_draws_nothing() -> None:
    augmentation = Augmentation.of({"flip": 0, "crop": False, "mixup": 0.0}, "image")
    generator = seeded()
    before, image = generator.get_state(), images()
    assert torch.equal(augmentation.apply({"image": image}, generator)["image"], image)
    assert torch.equal(augmentation.mix({"image": image}, torch.eye(8), generator)[1], torch.eye(8))
    assert torch.equal(generator.get_state(), before)
    assert not augmentation.is_random and not augmentation.mixes and augmentation.json() == {}


def test_a_value_may_be_written_as_true_or_as_text() -> None:
    augmentation = Augmentation.of((("flip", True), ("crop", "4"), ("mixup", 0.2)), "image")
    assert augmentation.json() == {"crop": 4.0, "flip": 0.5, "mixup": 0.2}
    assert augmentation.is_random and augmentation.mixes
    assert augmentation == Augmentation.of(augmentation.json(), "image")


@pytest.mark.parametrize(
    ("pairs", "kind", "message"),
    [
        ({"flp": True}, "image", r"asked: augmentation 'flp'\nfound: no augmentation of that name\ntry:   did you mean 'flip'\?"),
        (
            {"flip": True},
            "text",
            r"augmentation 'flip' for text\nfound: flip changes image inputs only\ntry:   one of: word_dropout, word_swap",
        ),
        ({"word_swap": 0.1}, "image", "word_swap changes text inputs only"),
        ({"flip": 1.5}, "image", r"augmentation flip=1.5\nfound: flip takes a number in 0\.\.1\ntry:   flip=0.5"),
        ({"crop": 2.5}, "image", "crop takes a whole number"),
        ({"jitter": "much"}, "image", "augmentation jitter='much'"),
        ({"erase": float("nan")}, "image", "erase takes a number"),
        ({"crop": 4, "resized_crop": 0.5}, "image", "both choose the window"),
    ],
)
def test_what_cannot_be_meant_is_refused(pairs: dict[str, float], kind: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Augmentation.of(pairs, kind)  # type: ignore[arg-type]


def test_a_crop_wider_than_the_image_is_refused() -> None:
    with pytest.raises(RequestError, match=r"asked: crop=20\nfound: the images have 24 x 20 pixels"):
        changed({"crop": 20}, images())


def test_a_window_larger_than_image_and_padding_is_refused() -> None:
    with pytest.raises(RequestError, match="crop=1 to 40 x 40 pixels"):
        changed({"crop": 1}, images(), size=(40, 40))


def test_other_inputs_pass_through() -> None:
    extra = SimpleNamespace()
    result = Augmentation.of({"flip": True}, "image").apply({"image": images(), "extra": extra}, seeded())  # type: ignore[dict-item]
    assert result["extra"] is extra
