"""Folders and tables of sound files; files that are no sounds, each refused or listed with its reason."""

from __future__ import annotations

import pytest
import soundfile
from sounds import RATE, clip, folders, tone

from regraft.data import load
from regraft.data.inspect import inspect
from regraft.errors import DataError


def faults(found):
    return {item.where: item.reason for item in found.rejected}


def kinds(found):
    return {problem["kind"]: problem for problem in inspect(found)["problems"]}


@pytest.mark.parametrize("ending", [".wav", ".flac"])
def test_class_folders_of_sounds_are_read(tmp_path, ending):
    found = load(folders(tmp_path, ending=ending))
    assert (found.task, found.classes, found.num_examples) == ("audio-classification", ("high", "low"), 24)
    assert any(sentence == "Clips are 0.10 to 0.21 s long, at 16,000 Hz." for sentence in found.said)


def test_split_folders_of_sounds_are_respected(tmp_path):
    for name in ("train", "valid", "test"):
        folders(tmp_path / name, per_class=3)
    assert {name: len(split) for name, split in load(tmp_path).splits.items()} == {"train": 6, "valid": 6, "test": 6}


def test_a_table_of_paths_starts_from_its_folder_or_from_the_only_one_that_fits(tmp_path):
    folders(tmp_path / "clips")
    rows = [f"{name}/{i}.wav,{name}" for name in ("high", "low") for i in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    found = load(tmp_path / "labels.csv")
    assert (found.task, found.num_examples) == ("audio-classification", 24)
    assert "Paths start from the folder clips/." in found.said
    assert load(tmp_path / "labels.csv", input=str(tmp_path / "clips")).fingerprint == found.fingerprint


def test_stereo_and_other_rates_are_said_and_used(tmp_path):
    folders(tmp_path)
    clip(tmp_path / "high" / "stereo.wav", tone(channels=2, seed=7))
    clip(tmp_path / "low" / "fine.wav", tone(rate=96_000, seed=8), 96_000)
    found = load(tmp_path)
    assert not found.rejected
    assert any("16,000 Hz (25), 96,000 Hz (1); 1 have several channels, which are averaged" in sentence for sentence in found.said)
    seen = kinds(found)
    assert (seen["several_channels"]["where"], seen["several_channels"]["severity"]) == ("stereo", "note")
    assert seen["several_rates"]["where"] == "16,000 Hz (25), 96,000 Hz (1)"


def test_a_sound_of_zero_length_is_listed(tmp_path):
    clip(folders(tmp_path, per_class=60) / "high" / "none.wav", tone(0.0))
    assert faults(load(tmp_path)) == {"high/none.wav": "zero length: a header and no samples"}


def test_an_empty_file_and_a_corrupt_header_are_listed(tmp_path):
    folders(tmp_path, per_class=110)
    (tmp_path / "high" / "nothing.wav").write_bytes(b"")
    whole = (tmp_path / "low" / "0.wav").read_bytes()
    (tmp_path / "low" / "broken.wav").write_bytes(b"JUNK" + whole[4:])
    found = faults(load(tmp_path))
    assert found["high/nothing.wav"] == "0 bytes"
    assert found["low/broken.wav"].startswith("not a sound, or a damaged one: ")
    assert "begins with b'JUNK" in found["low/broken.wav"]
    assert {p["kind"] for p in inspect(load(tmp_path))["problems"]} >= {"unreadable_sounds"}


def test_many_unreadable_sounds_are_an_error_that_says_what_to_do(tmp_path):
    folders(tmp_path, per_class=6)
    for i in range(3):
        (tmp_path / "high" / f"bad{i}.wav").write_bytes(b"RIFF")
    with pytest.raises(
        DataError, match=r"asked: read .*\nfound: 3 of 15 rows or files \(20\.0%\) cannot be used: not a sound.*\ntry:   mend them"
    ):
        load(tmp_path)


def test_a_table_without_its_files_says_where_they_were_looked_for(tmp_path):
    (tmp_path / "labels.csv").write_text("file,label\n" + "\n".join(f"{i}.wav,{'ab'[i % 2]}" for i in range(20)))
    with pytest.raises(DataError, match=r"not one usable example among 20: no such file \(20, first labels\.csv row 2\)"):
        load(tmp_path / "labels.csv")


def test_a_silent_clip_is_found(tmp_path):
    clip(folders(tmp_path) / "low" / "silent.wav", 0.0 * tone())
    silent = kinds(load(tmp_path))["silent_clips"]
    assert (silent["severity"], silent["count"]) == ("warning", 1)
    assert "low/silent.wav" in silent["where"]


def test_a_truncated_file_is_found(tmp_path):
    folders(tmp_path, ending=".flac")
    path = clip(tmp_path / "low" / "half.flac", tone(1.0, seed=5))
    path.write_bytes(path.read_bytes()[:9_000])
    broken = kinds(load(tmp_path))["unreadable_sounds"]
    assert (broken["severity"], broken["count"]) == ("error", 1)


def test_equal_sounds_in_different_files_are_duplicates_and_stay_on_one_side(tmp_path):
    folders(tmp_path)
    wave = tone(seed=99)
    for name in ("one.wav", "two.wav"):
        clip(tmp_path / "high" / name, wave)
    clip(tmp_path / "high" / "three.flac", soundfile.read(tmp_path / "high" / "one.wav", dtype="int16")[0])
    found = load(tmp_path, valid_fraction=0.0, test_fraction=0.0)
    assert kinds(found)["exact_duplicates"]["count"] == 2


def test_a_task_on_text_is_refused_for_sounds(tmp_path):
    with pytest.raises(DataError, match="class folders give one class to each file"):
        load(folders(tmp_path), task="text-classification")


def test_images_and_texts_are_read_as_before_beside_sounds(tmp_path):
    folders(tmp_path)
    (tmp_path / "high" / "notes.txt").write_text("about the recordings")
    found = load(tmp_path)
    assert found.task == "audio-classification"
    assert any("Left out 1 files that are no examples of a class: notes.txt" in sentence for sentence in found.said)
    assert RATE == 16_000
