"""What a generation keeps: the same rows for the same data in any order, texts and images whole again."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from regraft.data.dataset import SCHEMA, Split
from regraft.digest import of_bytes
from regraft.errors import DataError
from regraft.tune.kept import LEAST, Kept, examples, pooled, probed, replayed, thinned

CLASSES = ("a", "b")


def split(texts: list[str], targets: list[int]) -> Split:
    digests = [of_bytes(text.encode()) for text in texts]
    return Split("test", pa.table([texts, targets, digests, texts], schema=SCHEMA))


def test_texts_come_back_over_another_class_map(tmp_path):
    made = split(["one", "two", "three"], [0, 1, 0])
    kept = Kept.of_bytes(examples(made, CLASSES, np.array([0, 1]), kind="text").written())
    again = kept.split("probe", ("b", "x", "a"), tmp_path)
    assert again.inputs == ["one", "two"] and again.targets.tolist() == [2, 0]
    assert again.digests == made.digests[:2]
    assert kept.split("probe", ("x", "a"), tmp_path).inputs == ["one"], "classes that are gone leave their examples out"


def test_images_come_back_as_files_of_the_same_bytes(tmp_path):
    path = tmp_path / "cat.png"
    Image.new("RGB", (4, 4), (200, 10, 10)).save(path)
    made = Split("test", pa.table([[str(path)], [0], [of_bytes(path.read_bytes())], ["cat.png"]], schema=SCHEMA))
    kept = examples(made, CLASSES, np.array([0]), kind="image")
    path_again = kept.split("probe", CLASSES, tmp_path / "kept").inputs[0]
    with open(path_again, "rb") as file:
        assert file.read() == path.read_bytes()


def test_the_same_rows_are_kept_in_any_order():
    texts = [f"text {number}" for number in range(40)]
    targets = [number % 2 for number in range(40)]
    shuffled = np.random.default_rng(0).permutation(40)
    one, other = split(texts, targets), split([texts[i] for i in shuffled], [targets[i] for i in shuffled])
    rows = [thinned(each, lambda count: min(count, 5)) for each in (one, other)]
    assert {one.inputs[row] for row in rows[0]} == {other.inputs[row] for row in rows[1]}
    assert np.bincount(one.targets[rows[0]]).tolist() == [5, 5]
    assert examples(one, CLASSES, rows[0], kind="text").written() == examples(one, CLASSES, rows[0], kind="text").written()


def test_a_small_test_split_is_a_probe_as_it_is():
    assert probed(split(["one", "two"], [0, 1]), kind="text").tolist() == [0, 1]


def test_features_stand_for_examples_that_may_not_be_kept(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    kept = Kept.of_bytes(pooled(split(["one", "two", "three"], [0, 1, 0]), CLASSES, np.array([2, 0]), values).written())
    assert kept.features.tolist() == [[4.0, 5.0], [0.0, 1.0]] and kept.labels == ["a", "a"]
    assert "input" not in kept.table.column_names
    with pytest.raises(DataError, match="features were kept, not the examples"):
        kept.split("probe", CLASSES, tmp_path)


def test_what_fits_is_kept_to_be_learned_again(monkeypatch):
    made = split([f"text {number}" for number in range(300)], [0] * 200 + [1] * 100)
    assert len(replayed(made, kind="text", most=-1)) == 300, "few examples are all kept"
    assert len(replayed(made, kind="text", most=0)) == 0
    assert np.bincount(made.targets[replayed(made, kind="text", most=7)]).tolist() == [7, 7]
    monkeypatch.setattr(sys.modules[Kept.__module__], "MOST_PROBED", 221)
    assert np.bincount(made.targets[replayed(made, kind="text", most=-1)]).tolist() == [121, 100], (
        "the same number of each class that has them"
    )
    monkeypatch.setattr(sys.modules[Kept.__module__], "MOST_PROBED", 10)
    assert np.bincount(made.targets[replayed(made, kind="text", most=-1)]).tolist() == [LEAST, LEAST]
