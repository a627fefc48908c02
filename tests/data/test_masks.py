"""Images with masks: layouts, values and their names, what counts for nothing, and every kind of bad input."""

from __future__ import annotations

import csv
import shutil

import masked
import numpy as np
import pytest
from PIL import Image

from regraft.data import masks
from regraft.data.encode import encode
from regraft.data.encoded import IGNORE
from regraft.data.inspect import inspect
from regraft.data.load import load
from regraft.errors import DataError
from regraft.spec import InputSpec

SPEC = InputSpec(kind="image", size=(16, 16))


def plain(root, count=6, **kw):
    masked.write(root, count, **kw)
    return load(root, valid_fraction=0.0, test_fraction=0.0)


def problems(reference):
    found = inspect(load(reference, allow_rejected=True, valid_fraction=0.0, test_fraction=0.0))["problems"]
    return {problem["kind"]: problem for problem in found}


def test_folders_side_by_side_are_a_segmentation_task(tmp_path):
    data = plain(tmp_path)
    assert (data.task, data.classes, len(data.splits["train"])) == ("semantic-segmentation", ("background", "foreground"), 6)
    assert data.outputs == "2 classes of pixels"


def test_splits_are_read_from_folders_around_and_inside(tmp_path):
    around = load(masked.splits(tmp_path / "around"))
    for level in ("images", "masks"):
        for split in ("train", "val", "test"):
            shutil.copytree(tmp_path / "around" / split / level, tmp_path / "inside" / level / split)
    inside = load(tmp_path / "inside")
    assert {name: len(split) for name, split in inside.splits.items()} == {"train": 12, "valid": 4, "test": 4}
    assert inside.fingerprint == around.fingerprint


def test_the_fingerprint_knows_what_is_in_a_mask_and_not_where_it_lies(tmp_path):
    first, second = plain(tmp_path / "a"), plain(tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    _, other = masked.image_and_mask(77)
    other.save(tmp_path / "b" / "masks" / "000.png")
    assert load(tmp_path / "b", valid_fraction=0.0, test_fraction=0.0).fingerprint != first.fingerprint


def test_masks_are_found_by_the_usual_suffixes_and_folders_of_other_names_by_option(tmp_path):
    masked.write(tmp_path, 4, images="photos", masks="GTs")
    for file in list((tmp_path / "GTs").iterdir()):
        file.rename(file.with_name(file.stem + "_mask.png"))
    data = load(tmp_path, input="photos", target="GTs", task="semantic-segmentation", valid_fraction=0.0, test_fraction=0.0)
    assert len(data.splits["train"]) == 4


def test_lists_of_names_give_the_splits_of_pascal_voc(tmp_path):
    masked.write(tmp_path, 6, images="JPEGImages", masks="SegmentationClass")
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("000\n001\n002\n")
    (lists / "val.txt").write_text("003\n")
    data = load(tmp_path, test_fraction=0.0)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 3, "valid": 1}


def test_classes_of_images_stay_classes_and_their_masks_are_named(tmp_path):
    for split in ("train", "test"):
        for at, label in enumerate(("scratch", "dent")):
            for level in ("images", "masks"):
                masked.write(tmp_path / "made" / label, 3, first=10 * at)
                shutil.copytree(tmp_path / "made" / label / level, tmp_path / "tiles" / split / level / label, dirs_exist_ok=True)
    as_classes = load(tmp_path / "tiles")
    assert as_classes.task == "image-classification"
    assert any("--task semantic-segmentation" in note for note in as_classes.said)
    as_masks = load(tmp_path / "tiles", task="semantic-segmentation", valid_fraction=0.0)
    assert len(as_masks.splits["train"]) == 6


def test_a_table_with_a_column_of_images_and_one_of_masks(tmp_path):
    masked.write(tmp_path, 5)
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "mask"])
        rows.writerows([f"images/{seed:03}.png", f"masks/{seed:03}.png"] for seed in range(5))
    data = load(tmp_path / "pairs.csv", valid_fraction=0.0, test_fraction=0.0)
    assert (data.task, len(data.splits["train"])) == ("semantic-segmentation", 5)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "ground\nsquare\n"),
        ("classes.csv", "value,name\n0,ground\n1,square\n"),
        ("labelmap.txt", "ground:0,0,0::\nsquare:0,0,1::\n"),
        ("classes.json", '{"ground": 0, "square": 1}'),
        ("label_colors.txt", "0 0 0 ground\n0 0 1 square\n"),
    ],
)
def test_names_come_from_a_file_beside_the_data(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert plain(tmp_path).classes == ("ground", "square")


def test_a_class_called_void_counts_for_nothing(tmp_path):
    masked.write(tmp_path, 4, values=(0, 2))
    masked.image_and_mask(0, values=(1, 2))[1].save(tmp_path / "masks" / "000.png")
    (tmp_path / "classes.txt").write_text("void\nother\nsquare\n")
    data = load(tmp_path, valid_fraction=0.0, test_fraction=0.0)
    assert data.classes == ("other", "square")
    targets = encode(data.splits["train"], SPEC).target_batch([0, 1])
    assert [set(one.unique().tolist()) for one in targets] == [{0, 1}, {IGNORE, 1}]
    assert any("count for nothing" in note for note in data.said)


def test_values_are_ignored_where_a_person_says_so_and_255_behind_a_run_of_classes(tmp_path):
    masked.write(tmp_path, 4, values=(0, 1))
    _, third = masked.image_and_mask(9, values=(255, 2))
    third.save(tmp_path / "masks" / "000.png")
    assert load(tmp_path, valid_fraction=0.0, test_fraction=0.0).facts["ignore"] == [255]
    asked = load(tmp_path, target="ignore=2,ignore=255", valid_fraction=0.0, test_fraction=0.0)
    assert (asked.classes, asked.facts["ignore"]) == (("background", "foreground"), [2, 255])
    with pytest.raises(DataError, match="'sky' is no value of a pixel"):
        load(tmp_path, target="ignore=sky")


def test_palette_masks_keep_their_colours_and_colour_masks_are_read_by_colour(tmp_path):
    masked.write(tmp_path / "palette", 3)
    masked.write(tmp_path / "colour", 3)
    for file in (tmp_path / "palette" / "masks").iterdir():
        marks = np.asarray(Image.open(file))
        indexed = Image.fromarray(marks)
        indexed.putpalette([0, 0, 0, 0, 200, 0])
        indexed.save(file)
        Image.fromarray(np.array([[10, 20, 30], [0, 200, 0]], np.uint8)[marks]).save(tmp_path / "colour" / "masks" / file.name)
    palette = load(tmp_path / "palette", valid_fraction=0.0, test_fraction=0.0)
    colour = load(tmp_path / "colour", valid_fraction=0.0, test_fraction=0.0)
    assert palette.facts["colours"] == [[0, 0, 0], [0, 200, 0]]
    assert set(colour.classes) == {"#0a141e", "#00c800"}
    targets = [data.splits["train"].targets[0] for data in (palette, colour)]
    seen = [np.array(data.classes)[masks.classes_at(target, data.facts)] for target, data in zip(targets, (palette, colour), strict=True)]
    assert np.array_equal(seen[0] == "foreground", seen[1] == "#00c800")


def test_a_written_mask_is_read_as_it_was(tmp_path):
    data = plain(tmp_path / "data", values=(0, 255))
    marks = masks.classes_at(data.splits["train"].targets[0], data.facts)
    masks.image_of(marks, data.facts).save(tmp_path / "written.png")
    assert np.array_equal(masks.as_classes(masks.raw(str(tmp_path / "written.png"), "grey"), data.facts["values"]), marks)


def test_images_are_kept_whole_and_masks_go_with_them(tmp_path):
    encoded = encode(plain(tmp_path).splits["train"], SPEC)
    pixels, marks = encoded.batch([0, 3])["image"], encoded.target_batch([0, 3])
    assert pixels.shape == (2, 3, 16, 16) and marks.shape == (2, 16, 16)
    bright = pixels.float().mean(1) > 110
    assert float((bright == (marks == 1)).float().mean()) > 0.85


def test_check_names_a_missing_mask(tmp_path):
    masked.write(tmp_path, 5)
    (tmp_path / "masks" / "003.png").unlink()
    found = problems(tmp_path)["missing_mask"]
    assert (found["severity"], found["count"]) == ("error", 1)
    assert "images/003.png" in found["where"]
    with pytest.raises(
        DataError, match=r"no mask of that name \(1, first images/003.png\)\ntry:   a mask needs the path and name of its image"
    ):
        load(tmp_path)


def test_check_names_a_mask_without_an_image(tmp_path):
    masked.write(tmp_path, 5)
    (tmp_path / "images" / "003.png").unlink()
    assert "masks/003.png" in problems(tmp_path)["missing_image"]["where"]


def test_check_names_a_mask_of_another_size(tmp_path):
    masked.write(tmp_path, 5)
    masked.image_and_mask(3, size=(20, 32))[1].save(tmp_path / "masks" / "003.png")
    assert "32 x 20 for an image of 32 x 24" in problems(tmp_path)["mask_size"]["where"]
    with pytest.raises(DataError, match="a mask has as many pixels as its image"):
        load(tmp_path)


def test_check_names_an_unknown_value(tmp_path):
    masked.write(tmp_path, 5)
    (tmp_path / "classes.txt").write_text("ground\nsquare\n")
    masked.image_and_mask(3, values=(0, 7))[1].save(tmp_path / "masks" / "003.png")
    found = problems(tmp_path)["unknown_mask_value"]
    assert "mask value 7 is no class" in found["where"] and "--target ignore=7" in found["advice"]
    with pytest.raises(DataError, match="--target ignore=7"):
        load(tmp_path)


def test_a_value_that_no_training_mask_has_is_unknown_elsewhere(tmp_path):
    masked.splits(tmp_path)
    masked.image_and_mask(2000, values=(0, 9))[1].save(tmp_path / "test" / "masks" / "2000.png")
    with pytest.raises(DataError, match="mask value 9 is in no training mask"):
        load(tmp_path)


def test_check_names_a_broken_mask_and_one_that_is_a_jpeg(tmp_path):
    masked.write(tmp_path, 5)
    (tmp_path / "masks" / "003.png").write_bytes((tmp_path / "masks" / "003.png").read_bytes()[:60])
    mask = masked.image_and_mask(4)[1]
    mask.save(tmp_path / "masks" / "004.png", format="JPEG")
    found = problems(tmp_path)["unreadable_masks"]
    assert found["count"] == 2 and "JPEG" in found["where"]


def test_masks_that_are_photographs_are_refused(tmp_path):
    masked.write(tmp_path, 3)
    for file in (tmp_path / "masks").iterdir():
        Image.fromarray(np.arange(24 * 32, dtype=np.uint8).reshape(24, 32)).save(file)
    with pytest.raises(DataError, match="256 different values, as in a picture"):
        load(tmp_path)


def test_masks_that_tell_nothing_apart_are_refused(tmp_path):
    masked.write(tmp_path, 3, values=(0, 0))
    with pytest.raises(DataError, match="1 classes, and 1 values"):
        load(tmp_path)


def test_a_class_of_the_file_without_a_training_pixel_is_a_problem(tmp_path):
    masked.write(tmp_path, 4)
    (tmp_path / "classes.txt").write_text("ground\nsquare\nmoon\n")
    assert "moon" in problems(tmp_path)["class_missing_in_train"]["where"]


def test_real_street_scenes_are_read(shared_data):
    data = load(shared_data / "camvid", target="ignore=11")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 92, "valid": 26, "test": 39}
    assert len(data.classes) == 11 and data.facts["ignore"] == [11]
