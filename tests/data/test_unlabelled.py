"""Inputs without labels: which column, which files, and what of them is no input."""

from __future__ import annotations

import pytest
from PIL import Image

from regraft.data.unlabelled import names_a_file, read
from regraft.errors import DataError
from regraft.spec import FORMS, PART

TEXT, IMAGE, PAIR = FORMS["text-classification"], FORMS["image-classification"], FORMS["text-pair-classification"]


def test_a_table_gives_its_text_column_row_by_row(tmp_path):
    file = tmp_path / "new.csv"
    file.write_text("id,text\n1,where is it\n2,\n3,give it back\n", encoding="utf-8")
    found = read(file, TEXT)
    assert found.values == ["where is it", "give it back"]
    assert [(item.where, item.reason) for item in found.rejected] == [("new.csv row 3", "empty")]


def test_one_column_is_enough_and_a_column_can_be_named(tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.jsonl"
    one.write_text("ticket\nwhere is it\n", encoding="utf-8")
    two.write_text('{"a": "where is it", "b": "give it back"}\n', encoding="utf-8")
    assert read(one, TEXT).values == ["where is it"]
    assert read(two, TEXT, input="b").values == ["give it back"]
    with pytest.raises(DataError, match=r"not plain which column is the input: a, b\ntry:   --input COLUMN"):
        read(two, TEXT)
    with pytest.raises(DataError, match=r"no such column; the columns are a, b"):
        read(two, TEXT, input="c")


def test_pairs_and_paths_come_from_tables_too(tmp_path):
    pairs, paths = tmp_path / "pairs.tsv", tmp_path / "paths.csv"
    pairs.write_text("premise\thypothesis\na b\tc d\n", encoding="utf-8")
    paths.write_text("n,photo\n1,cats/a.png\n2,cats/b.png\n", encoding="utf-8")
    (tmp_path / "cats").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "cats" / "a.png")
    assert read(pairs, PAIR).values == [PART.join(["a b", "c d"])]
    found = read(paths, IMAGE)
    assert found.values == [str(tmp_path / "cats" / "a.png")]
    assert [(item.where, item.reason) for item in found.rejected] == [("paths.csv row 3", "no such file")]


def test_text_files_are_lines_and_folders_hold_files(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    (tmp_path / "in" / "b.txt").write_bytes(b"\xef\xbb\xbfthree")
    assert read(tmp_path / "in" / "a.txt", TEXT).values == ["one", "two"]
    assert read(tmp_path / "in", TEXT).values == ["one\n\ntwo", "three"]
    Image.new("RGB", (4, 4)).save(tmp_path / "in" / "c.png")
    assert read(tmp_path / "in", IMAGE).values == [str(tmp_path / "in" / "c.png")]


def test_what_cannot_be_read_is_said(tmp_path):
    (tmp_path / "a.txt").write_bytes("café schön".encode("latin-1"))
    (tmp_path / "a.bin").write_bytes(b"1")
    with pytest.raises(DataError, match=r"not UTF-8(.|\n)*iconv"):
        read(tmp_path / "a.txt", TEXT)
    with pytest.raises(DataError, match=r"a \.bin"):
        read(tmp_path / "a.bin", TEXT)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"no file below it ends in"):
        read(tmp_path / "none", TEXT)


@pytest.mark.parametrize(
    ("text", "is_path"), [("new.csv", True), ("a/b.JPG", True), ("see new.csv", False), ("why?", False), ("v1.2", False)]
)
def test_a_path_is_told_from_a_text(text, is_path):
    assert names_a_file(text) is is_path
