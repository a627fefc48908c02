"""Class folders, split folders and tables of image paths; files that are no images."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import folders, picture

from regraft.data import load
from regraft.errors import DataError


def test_class_folders_become_splits_of_absolute_paths(tmp_path):
    found = load(folders(tmp_path / "pets"))
    assert (found.task, found.classes, found.num_examples) == ("image-classification", ("cats", "dogs"), 24)
    for split in found.splits.values():
        for path, target in zip(split.inputs, split.targets, strict=True):
            assert Path(path).is_absolute()
            assert Path(path).parent.name == found.classes[target]
    assert found.splits["train"].where(0).startswith("cats/")


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Train", "Dev", "Testing")])
@pytest.mark.parametrize("level", ["", "images"])
def test_split_folders_are_respected(tmp_path, names, level):
    for index, name in enumerate(names):
        folders(tmp_path / name / level, per_class=3, start=100 * index)
    (tmp_path / "index.csv").write_text("a,b\n1,2\n")
    found = load(tmp_path)
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 6, "valid": 6, "test": 6}
    assert any("index.csv" in sentence for sentence in found.said)


def test_an_empty_class_folder_in_test_does_not_shift_the_class_map(tmp_path):
    folders(tmp_path / "train", names=("a", "b", "c"))
    folders(tmp_path / "test", per_class=2, names=("a", "c"), start=50)
    (tmp_path / "test" / "b").mkdir()
    found = load(tmp_path)
    assert found.classes == ("a", "b", "c")
    assert sorted(set(found.splits["test"].targets.tolist())) == [0, 2]
    assert found.empty_folders == ("test/b",)


def test_a_table_of_paths_is_relative_to_its_folder_or_to_the_one_given(tmp_path):
    folders(tmp_path / "photos")
    rows = [f"{name}/{i}.jpg,{name}" for name in ("cats", "dogs") for i in range(12)]
    (tmp_path / "photos" / "index.csv").write_text("\n".join(["file,label", *rows]))
    beside = load(tmp_path / "photos" / "index.csv")
    assert (beside.task, beside.num_examples) == ("image-classification", 24)
    (tmp_path / "list.csv").write_text("\n".join(["file,label", *rows]))
    assert load(tmp_path / "list.csv", input=str(tmp_path / "photos")).fingerprint == beside.fingerprint
    assert load(tmp_path / "list.csv", input=f"file@{tmp_path / 'photos'}").fingerprint == beside.fingerprint
    assert load(tmp_path / "list.csv").fingerprint == beside.fingerprint, "they start from the only folder that holds the first of them"
    (tmp_path / "copies").symlink_to(tmp_path / "photos")
    with pytest.raises(DataError, match=r"not one usable example among 24: no such file \(24, first list\.csv row 2\)"):
        load(tmp_path / "list.csv")


def test_files_that_are_no_images_are_listed_with_reasons(tmp_path):
    folders(tmp_path, per_class=12)
    (tmp_path / "cats" / "empty.jpg").write_bytes(b"")
    (tmp_path / "cats" / "words.jpg").write_text("this is not a picture")
    whole = picture(tmp_path / "dogs" / "cut.jpg", 77, (200, 200)).read_bytes()
    (tmp_path / "dogs" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    whole = picture(tmp_path / "dogs" / "cut.png", 78, (200, 200)).read_bytes()
    (tmp_path / "dogs" / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"4 of 28 rows or files \(14\.3%\) cannot be used"):
        load(tmp_path)
    reasons = {item.where: item.reason for item in load(tmp_path, allow_rejected=True).rejected}
    assert reasons["cats/empty.jpg"] == "0 bytes"
    assert reasons["cats/words.jpg"].startswith("not an image: the file begins with b'this is not a")
    assert reasons["dogs/cut.jpg"].startswith("truncated or damaged")
    assert reasons["dogs/cut.png"].startswith("truncated or damaged")
    assert len(reasons) == 4


def test_a_folder_without_images_says_what_is_there(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.docx").write_text("")
    with pytest.raises(DataError, match=r"no image or sound in a class folder and no table, but 1 \.docx"):
        load(tmp_path)
    with pytest.raises(DataError, match="the folder is empty"):
        (tmp_path / "b").mkdir()
        load(tmp_path / "b")


def test_other_files_in_class_folders_are_said_aloud(tmp_path):
    folders(tmp_path)
    (tmp_path / "cats" / "notes.xml").write_text("")
    assert any("notes.xml" in sentence for sentence in load(tmp_path).said)


def test_class_folders_of_texts_are_read_as_text(tmp_path):
    for name in ("pos", "neg"):
        (tmp_path / name).mkdir()
        for i in range(10):
            (tmp_path / name / f"{i}.txt").write_text(f"a {name} review, the {i}th of them")
    found = load(tmp_path)
    assert (found.task, found.classes) == ("text-classification", ("neg", "pos"))
    assert "a neg review" in found.splits["train"].inputs[0]


def test_class_folders_have_no_columns(tmp_path):
    with pytest.raises(DataError, match="class folders have no columns"):
        load(folders(tmp_path), target="label")
