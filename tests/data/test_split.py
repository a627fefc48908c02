"""Where an example falls: by its content, with its copies, and for ever."""

from __future__ import annotations

import pytest
from made import save, sentences

from regraft.data import Dataset, load


def sides(found: Dataset) -> dict[str, str]:
    return {text: name for name, split in found.splits.items() for text in split.inputs}


def test_fractions_are_met_in_the_long_run(tmp_path):
    found = load(save(tmp_path / "a.csv", sentences(3000)), valid_fraction=0.1, test_fraction=0.2)
    assert len(found.splits["test"]) / 3000 == pytest.approx(0.2, abs=0.03)
    assert len(found.splits["valid"]) / 3000 == pytest.approx(0.1, abs=0.02)


def test_an_example_stays_on_its_side_when_the_data_grows(tmp_path):
    texts = sentences(600)
    near = [f"{text} indeed" for text in texts[:100]]  # near duplicates of early examples arrive later
    before = sides(load(save(tmp_path / "a.csv", texts)))
    after = sides(load(save(tmp_path / "b.csv", texts + near + sentences(600, seed=1))))
    assert before == {text: after[text] for text in texts}


def test_the_order_of_rows_does_not_matter_without_near_duplicates(tmp_path):
    texts = sentences(300)
    assert sides(load(save(tmp_path / "a.csv", texts))) == sides(load(save(tmp_path / "b.csv", texts[::-1])))


def test_test_does_not_depend_on_the_size_of_valid(tmp_path):
    path = save(tmp_path / "a.csv", sentences(400))
    first, second = load(path, valid_fraction=0.1), load(path, valid_fraction=0.3)
    assert first.splits["test"].inputs == second.splits["test"].inputs
    assert set(first.splits["valid"].inputs) < set(second.splits["valid"].inputs)


def test_copies_in_other_dress_fall_on_the_same_side(tmp_path):
    texts = sentences(200)
    dressed = [f"  {text.title().replace(' ', ', ', 1)}!! " for text in texts]
    nearly = [f"{text} again" for text in texts]
    found = sides(load(save(tmp_path / "a.csv", texts + dressed + nearly)))
    for text, same, near in zip(texts, dressed, nearly, strict=True):
        assert found[text] == found[same] == found[near]


def test_every_class_keeps_a_training_example_and_missing_ones_are_said(tmp_path):
    for seed in range(5):
        found = load(save(tmp_path / f"{seed}.csv", sentences(24, seed), num_classes=12))
        assert all(found.counts("train").values())
    assert any("classes have no example in the test split" in sentence for sentence in found.said)


def test_a_split_too_small_to_mean_anything_is_said(tmp_path):
    found = load(save(tmp_path / "a.csv", sentences(20)))
    assert any(sentence.startswith("The valid split has only") for sentence in found.said)
    two = load(save(tmp_path / "b.csv", sentences(2)))
    assert set(two.splits) == {"train"}
    assert any(sentence.startswith("No example falls into the test split") for sentence in two.said)


def test_fraction_zero_means_none_of_that_split(tmp_path):
    path = save(tmp_path / "a.csv", sentences(100))
    assert list(load(path, valid_fraction=0, test_fraction=0.2).splits) == ["train", "test"]
    assert list(load(path, valid_fraction=0.2, test_fraction=0).splits) == ["train", "valid"]


def test_the_fingerprint_covers_contents_labels_and_order_but_not_the_place(tmp_path):
    texts = sentences(60)
    (tmp_path / "elsewhere").mkdir()
    base = load(save(tmp_path / "a.csv", texts)).fingerprint
    assert load(save(tmp_path / "elsewhere" / "b.csv", texts)).fingerprint == base
    assert load(save(tmp_path / "c.csv", [*texts[:-1], "something else altogether"])).fingerprint != base
    assert load(save(tmp_path / "d.csv", texts, num_classes=4)).fingerprint != base
    assert load(save(tmp_path / "e.csv", texts[::-1])).fingerprint != base
