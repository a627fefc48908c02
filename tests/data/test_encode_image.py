from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from regraft.data.dataset import SCHEMA, Split
from regraft.data.decode import Framing, decode
from regraft.data.encode import concat, encode, prepare
from regraft.errors import DataError, RequestError, StorageError
from regraft.spec import InputSpec

SPEC = InputSpec(kind="image", size=(32, 32))
SKY, EARTH = (40, 120, 220), (120, 70, 20)


def a_split(paths: list[Path]) -> Split:
    columns = {
        "input": [str(path) for path in paths],
        "target": list(range(len(paths))),
        "digest": [path.stem for path in paths],
        "where": [path.name for path in paths],
    }
    return Split("train", pa.table(columns, schema=SCHEMA))


def landscape(width: int = 64, height: int = 48) -> Image.Image:
    """Sky over earth: which way is up can be read from it."""
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    pixels[: height // 2], pixels[height // 2 :] = SKY, EARTH
    return Image.fromarray(pixels)


def real_images(shared_data: Path, count: int) -> list[Path]:
    return sorted((shared_data / "flowers12" / "train").rglob("*.jpg"))[:count]


def timm_pixels(path: Path, spec: InputSpec) -> torch.Tensor:
    """The evaluation transform of timm, before it normalises."""
    from timm.data import create_transform

    transform = create_transform(
        (3, *(spec.size or ())), interpolation=spec.interpolation, mean=(0.0,) * 3, std=(1.0,) * 3, crop_pct=spec.crop_fraction
    )
    with Image.open(path) as image:
        return (transform(image.convert("RGB")) * 255).round().to(torch.uint8)


@pytest.mark.parametrize(("size", "crop_fraction"), [(128, 1.0), (128, 0.875), (96, 0.95)])
def test_pixels_are_those_of_timm_on_real_images(shared_data: Path, size: int, crop_fraction: float) -> None:
    spec = InputSpec(kind="image", size=(size, size), crop_fraction=crop_fraction)
    paths = [*real_images(shared_data, 3), *sorted((shared_data / "magnetic_tile" / "train" / "images").rglob("*.jpg"))[::60]]
    batch = encode(a_split(paths), spec).batch(range(len(paths)))["image"]
    assert batch.shape == (len(paths), 3, size, size) and batch.dtype == torch.uint8
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(batch[row], timm_pixels(path, spec)) for row, path in enumerate(paths))


def test_small_images_of_the_right_size_are_left_as_they_are(shared_data: Path) -> None:
    paths = sorted((shared_data / "cifar10" / "train").rglob("*.jpg"))[::900]
    batch = encode(a_split(paths), SPEC).batch(range(len(paths)))["image"]
    assert all(np.array_equal(batch[row].permute(1, 2, 0), Image.open(path)) for row, path in enumerate(paths))


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_every_mode_becomes_upright_rgb(tmp_path: Path, mode: str) -> None:
    image = landscape()
    if mode in ("I;16", "I"):
        image = Image.fromarray((np.asarray(image.convert("L")).astype(np.uint16) * 256).astype(np.int32 if mode == "I" else np.uint16))
    elif mode == "F":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.float32) / 255)
    else:
        image = image.convert(mode)
    path = tmp_path / f"picture.{'tif' if mode in ('CMYK', 'YCbCr', 'F', 'I') else 'png'}"
    image.save(path)
    pixels = decode(str(path), Framing.of(SPEC)).astype(int)
    assert pixels.shape == (32, 32, 3)
    colours = {"RGB", "P", "RGBA", "CMYK", "YCbCr"}
    grey = Image.new("RGB", (1, 1), SKY).convert("L").getpixel((0, 0))
    expected = SKY if mode in colours else (grey,) * 3
    if mode != "1":  # dithered
        assert np.abs(pixels[2:10, 2:-2] - expected).max() <= (40 if mode == "P" else 4)
    assert pixels[:10].mean() != pytest.approx(pixels[-10:].mean(), abs=5)


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    path = tmp_path / "icon.png"
    Image.new("RGBA", (32, 32), (0, 0, 0, 0)).save(path)
    assert decode(str(path), Framing.of(SPEC)).min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_s_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that the tag asks the viewer to undo
    stored = landscape(64, 64) if orientation == 1 else landscape(64, 64).transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.jpg"
    stored.save(path, exif=exif, quality=95)
    pixels = decode(str(path), Framing.of(SPEC)).astype(int)
    assert np.abs(pixels[:12] - SKY).max() < 16
    assert np.abs(pixels[-12:] - EARTH).max() < 16


def test_large_photographs_decoded_by_halves_look_the_same(tmp_path: Path, shared_data: Path) -> None:
    with Image.open(real_images(shared_data, 1)[0]) as image:
        large = image.convert("RGB").resize((1800, 1200), Image.Resampling.BICUBIC)
    large.save(tmp_path / "large.jpg", quality=95)
    large.save(tmp_path / "large.png")
    framing = Framing.of(InputSpec(kind="image", size=(128, 128)))
    fast, exact = (decode(str(tmp_path / name), framing).astype(int) for name in ("large.jpg", "large.png"))
    assert np.abs(fast - exact).mean() < 1.0


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 400), (400, 3), (31, 33), (500, 32)])
def test_odd_shapes_are_covered(tmp_path: Path, width: int, height: int) -> None:
    Image.new("RGB", (width, height), SKY).save(tmp_path / "odd.png")
    assert np.abs(decode(str(tmp_path / "odd.png"), Framing.of(SPEC)).astype(int) - SKY).max() <= 1


def test_tall_models_get_tall_images(tmp_path: Path) -> None:
    landscape(64, 48).save(tmp_path / "picture.png")
    spec = InputSpec(kind="image", size=(40, 20))
    assert encode(a_split([tmp_path / "picture.png"]), spec).batch([0])["image"].shape == (1, 3, 40, 20)


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "missing"])
def test_an_unreadable_image_is_named(tmp_path: Path, damage: str) -> None:
    good, broken = tmp_path / "good.jpg", tmp_path / "broken.jpg"
    landscape(200, 200).save(good)
    content = {"empty": b"", "truncated": good.read_bytes()[:1500], "text": b"not an image"}
    if damage in content:
        broken.write_bytes(content[damage])
    encoded = encode(a_split([good, broken]), SPEC)
    with pytest.raises(DataError, match=r"asked: read the image .*broken\.jpg\nfound: .+\ntry:   `regraft check` lists"):
        encoded.wait()
    with pytest.raises(DataError, match=r"broken\.jpg"):  # also where the batch itself does not hold it
        encoded.batch([0])


def test_a_margin_adds_room_around_the_same_middle(shared_data: Path) -> None:
    paths = real_images(shared_data, 4)
    spec = InputSpec(kind="image", size=(112, 112), crop_fraction=0.875)
    plain, roomy = encode(a_split(paths), spec), encode(a_split(paths), spec, margin=128 / 112)
    assert roomy.batch([0])["image"].shape == (1, 3, 128, 128)
    ready = [prepare(encoded.batch(range(4)), spec)["image"] for encoded in (plain, roomy)]
    assert torch.equal(*ready)
    assert plain.fingerprint != roomy.fingerprint


def test_prepare_normalises_as_torchvision_does(shared_data: Path) -> None:
    from torchvision.transforms.v2 import functional

    batch = encode(a_split(real_images(shared_data, 3)), SPEC).batch([2, 0])
    ready = prepare(batch, SPEC, device="cpu")["image"]
    expected = functional.normalize(functional.to_dtype(batch["image"], torch.float32, scale=True), list(SPEC.mean), list(SPEC.std))
    assert ready.dtype == torch.float32 and ready.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ready, expected, atol=2e-6, rtol=0)
    torch.testing.assert_close(prepare({"image": batch["image"].float()}, SPEC)["image"], ready)
    assert prepare(batch, SPEC, channels_last=False)["image"].is_contiguous()


def test_prepare_does_not_write_into_its_input() -> None:
    image = torch.full((2, 3, 32, 32), 100.0).contiguous(memory_format=torch.channels_last)
    prepare({"image": image}, SPEC)
    assert bool((image == 100.0).all())


def test_pixels_beyond_the_budget_lie_in_a_file_that_leaves_nothing_behind(shared_data: Path, tmp_path: Path) -> None:
    paths = real_images(shared_data, 40)
    inside, outside = encode(a_split(paths), SPEC), encode(a_split(paths), SPEC, memory_bytes=1000, folder=tmp_path / "pixels")
    rows = np.array([39, 3, 3, 17])
    assert torch.equal(inside.batch(rows)["image"], outside.batch(rows)["image"])
    assert list((tmp_path / "pixels").iterdir()) == []


def test_a_disk_without_room_is_an_error_before_anything_is_decoded(tmp_path: Path) -> None:
    from regraft.data.image import roomy_array

    with pytest.raises(StorageError, match=r"asked: keep 4,\d+,000,000,000,000,000 decoded bytes in .*\nfound: .+\ntry:   free some space"):
        roomy_array((4_100_000_000_000_000_000,), memory_bytes=1, folder=tmp_path)


def test_rows_are_right_in_any_order_while_the_workers_are_still_busy(shared_data: Path) -> None:
    paths = real_images(shared_data, 200)
    encoded = encode(a_split(paths), SPEC)
    early = encoded.batch([199, 0, 150])["image"].clone()
    encoded.wait()
    assert torch.equal(early, encoded.batch([199, 0, 150])["image"])
    assert torch.equal(early[1].permute(1, 2, 0), torch.from_numpy(decode(str(paths[0]), Framing.of(SPEC)).copy()))


def test_a_process_that_ends_early_does_not_wait_for_the_rest(shared_data: Path) -> None:
    program = f"""
import pyarrow as pa
from regraft.data.dataset import SCHEMA, Split
from regraft.data.image import encode_images
from regraft.spec import InputSpec
rows = 100_000
columns = {{"input": [{str(real_images(shared_data, 1)[0])!r}] * rows, "target": [0] * rows, "digest": [""] * rows, "where": [""] * rows}}
encoded = encode_images(Split("train", pa.table(columns, schema=SCHEMA)), InputSpec(kind="image", size=(32, 32)))
encoded.decode_row(0)
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=60, check=True, capture_output=True, text=True)
    assert ended.stderr == ""


def test_progress_reaches_the_end(shared_data: Path) -> None:
    seen: list[tuple[int, int]] = []
    encode(a_split(real_images(shared_data, 70)), SPEC, progress=lambda done, total: seen.append((done, total))).wait()
    assert max(seen) == (70, 70)


def test_train_and_valid_join_for_a_refit(shared_data: Path) -> None:
    paths = real_images(shared_data, 6)
    whole, first, second = (encode(a_split(part), SPEC) for part in (paths, paths[:4], paths[4:]))
    joined = concat(first, second)
    assert joined.fingerprint == whole.fingerprint and joined.lengths is None
    assert torch.equal(joined.batch([5, 0, 4, 3])["image"], whole.batch([5, 0, 4, 3])["image"])


@pytest.mark.parametrize(
    ("spec", "margin", "message"),
    [
        (InputSpec(kind="image"), 1.0, "the model states no image size"),
        (SPEC, 0.5, "a margin below 1 leaves less than the model needs"),
        (InputSpec(kind="image", size=(32, 32), interpolation="cubicle"), 1.0, "no such way to resize"),
    ],
)
def test_a_framing_that_makes_no_sense_is_refused(spec: InputSpec, margin: float, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        encode(a_split([]), spec, margin=margin)
