"""The data doctor: each ailment is found, where it is and how often; a healthy data set has none."""

from __future__ import annotations

import json

import pytest
from made import folders, picture, save, sentences, table

from regraft.data import load
from regraft.data.inspect import inspect


def problems(document: dict) -> dict[str, dict]:
    return {found["kind"]: found for found in document["problems"]}


@pytest.fixture
def three_files(tmp_path):
    """Folder with train, valid and test of distinct sentences; rows may be added before it is written."""
    texts = sentences(180)
    rows = {name: [(text, f"c{i % 3}") for i, text in enumerate(texts[at::3])] for at, name in enumerate(("train", "valid", "test"))}

    def build(**more: list[tuple[str, str]]) -> dict[str, dict]:
        for name, given in rows.items():
            table(tmp_path / f"{name}.csv", given + more.get(name, []))
        return problems(inspect(load(tmp_path, allow_rejected=True)))

    return rows, build


def test_a_healthy_data_set_has_no_problem(three_files):
    _, build = three_files
    assert build() == {}


def test_the_document_has_the_keys_of_the_check_verb(tmp_path):
    document = inspect(load(save(tmp_path / "a.csv", sentences(60))))
    assert {"schema", "task", "splits", "classes", "num_examples", "problems"} <= set(document)
    assert document["splits"]["train"]["classes"].keys() == {"c0", "c1", "c2"}
    assert json.loads(json.dumps(document)) == document


def test_copies_inside_a_split_are_counted(three_files):
    rows, build = three_files
    text, label = rows["train"][0]
    found = build(train=[(text, label), (text, label), (f"{text} indeed", label)])
    assert (found["exact_duplicates"]["count"], found["exact_duplicates"]["severity"]) == (2, "note")
    assert found["exact_duplicates"]["where"] == "train: train.csv row 62, train: train.csv row 63"
    assert found["near_duplicates"]["count"] == 1


def test_leaks_between_splits_are_counted(three_files):
    rows, build = three_files
    (one, a), (other, b) = rows["train"][:2]
    found = build(test=[(one, a), (f"{other} indeed", b)])
    assert (found["leak"]["count"], found["leak"]["splits"], found["leak"]["severity"]) == (1, "train and test", "warning")
    assert found["near_leak"]["count"] == 1


def test_a_large_leak_is_an_error(three_files):
    rows, build = three_files
    assert build(test=rows["train"][:10])["leak"]["severity"] == "error"


def test_contradictory_labels_are_found_across_splits(three_files):
    rows, build = three_files
    found = build(test=[(rows["train"][0][0], "c2")])
    assert found["contradictory_labels"]["count"] == 2
    assert found["contradictory_labels"]["severity"] == "warning"


def test_labels_that_look_alike_are_named(three_files):
    _, build = three_files
    found = build(train=[(text, "C0 ") for text in sentences(6, seed=9)])
    assert found["labels_alike"]["where"] == "'c0' / 'C0 '"
    assert found["label_missing_in_split"]["count"] == 1


def test_labels_unknown_to_train_are_an_error(three_files):
    _, build = three_files
    found = build(test=[("a wholly new sentence", "c9")])
    assert (found["label_not_in_train"]["severity"], found["label_not_in_train"]["where"]) == ("error", "test (1)")


def test_a_label_of_train_in_other_letters_is_named_as_such(three_files):
    _, build = three_files
    found = build(test=[("a wholly new sentence", " C0")])
    assert "write ' C0' as 'c0', which differ only by case" in found["label_not_in_train"]["advice"]


def test_empty_texts_and_missing_labels_are_listed(three_files):
    _, build = three_files
    found = build(train=[("", "c0"), ("a text that has no label", "")])
    assert found["empty_text"]["where"] == "train.csv row 62 (empty text)"
    assert found["missing_label"]["count"] == 1


def test_imbalance_and_tiny_classes_are_told(tmp_path):
    texts = sentences(50)
    path = table(tmp_path / "a.csv", [(text, "rare" if i < 3 else "common") for i, text in enumerate(texts)])
    found = problems(inspect(load(path, valid_fraction=0, test_fraction=0)))
    assert (found["imbalance"]["severity"], found["imbalance"]["count"]) == ("warning", 16)
    assert found["tiny_classes"]["where"] == "train: rare"


def test_mangled_and_long_texts_are_told(three_files):
    _, build = three_files
    mangled = "où est ma carte déjà payée".encode().decode("latin-1")
    found = build(train=[(mangled, "c0"), ("où est ma carte déjà payée", "c0"), ("word " * 600, "c1")])
    assert (found["wrong_encoding"]["count"], found["wrong_encoding"]["where"]) == (1, "train: train.csv row 62")
    assert found["long_texts"]["count"] == 1


def test_equal_pixels_and_near_pictures_are_found(tmp_path):
    folders(tmp_path / "train")
    folders(tmp_path / "test", per_class=4, start=500)
    picture(tmp_path / "test" / "cats" / "copy.png", 3)
    picture(tmp_path / "test" / "dogs" / "same.bmp", 501, (24, 24))
    picture(tmp_path / "test" / "cats" / "exact.bmp", 501, (24, 24))
    found = problems(inspect(load(tmp_path, valid_fraction=0)))
    assert found["near_leak"]["where"] == "test: test/cats/copy.png"
    assert found["contradictory_labels"]["count"] == 2  # equal pixels in both classes


def test_damage_that_shows_only_when_all_is_decoded_is_found(tmp_path):
    folders(tmp_path)
    path = picture(tmp_path / "cats" / "hurt.png", 9, (64, 64))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    path.write_bytes(data)
    found = problems(inspect(load(tmp_path, valid_fraction=0, test_fraction=0)))
    assert found["unreadable_images"]["where"] == "train: cats/hurt.png"
    assert found["unreadable_images"]["severity"] == "error"


def test_odd_sizes_and_empty_folders_are_told(tmp_path):
    folders(tmp_path)
    assert "constant_size" in problems(inspect(load(tmp_path)))
    picture(tmp_path / "cats" / "long.png", 9, (300, 20))
    picture(tmp_path / "cats" / "dot.png", 10, (8, 8))
    (tmp_path / "birds").mkdir()
    found = problems(inspect(load(tmp_path)))
    assert {"extreme_aspect", "tiny_images", "empty_class_folder"} <= set(found)
    assert "constant_size" not in found
    assert found["empty_class_folder"]["where"] == "birds"
