"""What is known about the real data sets, found again by reading them."""

from __future__ import annotations

import pytest

from regraft.data import load
from regraft.data.inspect import inspect
from regraft.errors import DataError


def counts(document: dict, kind: str) -> int:
    return sum(found["count"] for found in document["problems"] if found["kind"] == kind)


def given(path) -> dict:
    """The document of the splits as they come, with nothing carved."""
    return inspect(load(path, valid_fraction=0, test_fraction=0))


def test_banking77(shared_data):
    found = load(shared_data / "banking77")
    assert len(found.classes) == 77
    assert len(found.splits["train"]) + len(found.splits["valid"]) == 10003
    assert len(found.splits["test"]) == 3080
    assert len(found.splits["valid"]) == pytest.approx(1000, abs=120)
    document = given(shared_data / "banking77")
    assert counts(document, "exact_duplicates") == 4 + 1
    assert counts(document, "leak") == 7


def test_clinc150_leaves_the_out_of_scope_files_and_says_so(shared_data):
    found = load(shared_data / "clinc150")
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 7500, "valid": 3000, "test": 4500}
    assert len(found.classes) == 150
    assert any("oos_train.csv" in sentence for sentence in found.said)
    assert counts(inspect(found), "leak") == 3 + 1


def test_trec_takes_the_column_called_label_and_says_so(shared_data):
    found = load(shared_data / "trec")
    assert found.classes == ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
    assert any("--target fine_label" in sentence for sentence in found.said)
    document = given(shared_data / "trec")
    assert (counts(document, "exact_duplicates"), counts(document, "leak")) == (71, 10)


def test_sst2_reads_dev_as_valid(shared_data):
    found = load(shared_data / "sst2")
    assert (found.classes, len(found.splits["valid"])) == (("0", "1"), 872)
    document = given(shared_data / "sst2")
    assert (counts(document, "exact_duplicates"), counts(document, "leak")) == (9, 2)


def test_chnsenticorp_has_no_text_twice(shared_data):
    document = given(shared_data / "chnsenticorp")
    assert document["num_examples"] == 6212 + 1553
    assert counts(document, "exact_duplicates") == counts(document, "leak") == counts(document, "wrong_encoding") == 0


def test_flowers12_has_one_exact_copy_and_many_near_ones(shared_data):
    document = given(shared_data / "flowers12")
    (copy,) = [found for found in document["problems"] if found["kind"] == "exact_duplicates"]
    assert (copy["count"], copy["where"]) == (1, "train: train/iris/image_0469.jpg")
    assert counts(document, "leak") == 0
    assert counts(document, "near_leak") >= 20  # seen by eye: the same photograph, scaled once more


def test_chest_xray_images_of_different_patients_are_not_taken_for_copies(shared_data):
    document = given(shared_data / "chest_xray")
    assert document["classes"] == ["NORMAL", "PNEUMONIA"]
    assert counts(document, "exact_duplicates") == counts(document, "near_duplicates") == counts(document, "near_leak") == 0


def test_cifar10_has_no_equal_pixels(shared_data):
    document = given(shared_data / "cifar10")
    assert document["splits"]["train"]["classes"] == dict.fromkeys(document["classes"], 500)
    assert [found["kind"] for found in document["problems"]] == ["constant_size"]


def test_magnetic_tile_reads_the_images_level(shared_data):
    found = load(shared_data / "magnetic_tile", valid_fraction=0)
    assert found.counts("train") == {"blowhole": 44, "break": 28, "crack": 21, "fray": 12, "free": 107, "uneven": 36}
    assert found.counts("test") == {"blowhole": 14, "break": 14, "crack": 7, "fray": 3, "free": 50, "uneven": 13}


def test_kinds_of_data_that_are_not_read_yet_say_so(shared_data):
    with pytest.raises(DataError, match="holds images or other bytes inside the table"):
        load(shared_data / "tiny_imagenet")


def test_the_spoken_digits_come_with_their_own_split(shared_data):
    found = load(shared_data / "fsdd", valid_fraction=0)
    assert found.task == "audio-classification"
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 1800, "test": 200}


def test_data_of_other_forms_than_one_class_is_known_for_what_it_is(shared_data):
    emotions = load(shared_data / "goemotions")
    assert (emotions.task, len(emotions.classes)) == ("text-multilabel", 28)
    assert emotions.counts("train")["neutral"] == 3916 and emotions.counts("test")["grief"] == 2
    pairs = load(shared_data / "rte", valid_fraction=0, test_fraction=0)
    assert (pairs.task, pairs.counts("train")) == ("text-pair-classification", {"entailment": 1249, "not_entailment": 1241})
    score = load(shared_data / "sick", target="relatedness")
    assert (score.task, len(score.splits["test"])) == ("text-pair-regression", 4927)
    names = load(shared_data / "ner_wnut17")
    assert (names.task, len(names.classes)) == ("token-classification", 13)
    assert {split: len(rows) for split, rows in names.splits.items()} == {"train": 3394, "valid": 1009, "test": 1287}
    assert names.counts("train")["B-person"] == 660 and names.counts("valid")["B-person"] == 470
