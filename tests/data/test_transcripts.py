"""Tables of sounds and what is said in them: found by their columns, read as characters, and bad ones listed with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from sounds import clip, tone

from regraft.data import load
from regraft.data.encode import concat, encode
from regraft.data.encoded import IGNORE
from regraft.data.inspect import inspect
from regraft.data.spelling import text_of
from regraft.errors import DataError
from regraft.spec import InputSpec

SPEC = InputSpec(kind="audio", sample_rate=16_000)


def table(root, rows, header="file,transcript,split", name="data.csv"):
    for index, row in enumerate(rows):
        file = row.split(",")[0]
        if not (root / file).exists():
            clip(root / file, tone(0.3, seed=index))
    (root / name).write_text("\n".join([header, *rows]), encoding="utf-8")
    return root / name


def rows_of(texts, split="train", start=0):
    return [f"{split}{index}.wav,{text},{split}" for index, text in enumerate(texts, start)]


def usual(*more):
    return [*rows_of(["one two", "Three", "two"] * 40), *rows_of(["two one"] * 4, "valid"), *rows_of(["three"] * 4, "test"), *more]


def read_back(found, split="train"):
    return [text_of(target, found.classes) for target in found.splits[split].targets]


def kinds(found):
    return {problem["kind"]: problem for problem in inspect(found)["problems"]}


def test_a_table_of_sounds_and_transcripts_is_known_by_its_columns(tmp_path):
    found = load(table(tmp_path, usual()))
    assert found.task == "speech-recognition"
    assert found.classes == tuple(" ehnortw")
    assert found.outputs == "8 characters"
    assert read_back(found)[:3] == ["one two", "three", "two"], "in small letters"
    assert found.facts["headline"] == "wer" and found.facts["mean_characters"] == pytest.approx(5.0)
    assert "Transcripts are read in small letters: 160 words of 8 characters to learn from." in found.said


@pytest.mark.parametrize("ending", ["tsv", "jsonl", "parquet"])
def test_other_tables_hold_transcripts_too(tmp_path, ending):
    import pandas

    path = table(tmp_path, usual())
    frame, other = pandas.read_csv(path), tmp_path / f"other.{ending}"
    {"tsv": lambda: frame.to_csv(other, sep="\t", index=False), "jsonl": lambda: frame.to_json(other, orient="records", lines=True),
     "parquet": lambda: frame.to_parquet(other)}[ending]()  # fmt: skip
    assert load(other).fingerprint == load(path).fingerprint


def test_classes_beside_transcripts_are_learned_unless_transcripts_are_asked_for(tmp_path):
    rows = [f"{i}.wav,{'hello you' if i % 2 else 'bye'},{'ab'[i % 2]}" for i in range(60)]
    path = table(tmp_path, rows, "file,text,label")
    assert load(path).task == "audio-classification"
    assert load(path, target="text").task == "speech-recognition"
    assert load(path, task="speech-recognition").task == "speech-recognition"


def test_the_task_says_which_columns_it_misses(tmp_path):
    path = table(tmp_path, [f"{i}.wav,{'ab'[i % 2]}" for i in range(20)], "file,label")
    with pytest.raises(
        DataError, match=r"found: no column of paths of sounds and one that is named as transcripts are; the columns are file, label"
    ):
        load(path, task="speech-recognition")


def test_an_empty_transcript_is_listed(tmp_path):
    found = load(table(tmp_path, usual("none.wav,  ,train")))
    assert [(item.where, item.reason) for item in found.rejected] == [("data.csv row 130", "empty transcript")]
    assert kinds(found)["empty_transcript"]["count"] == 1


def test_many_empty_transcripts_are_an_error(tmp_path):
    path = table(tmp_path, usual(*(f"none{i}.wav,,train" for i in range(5))))
    with pytest.raises(
        DataError, match=r"5 of 133 rows or files \(3\.8%\) cannot be used: empty transcript \(5, first data\.csv row 130\)"
    ):
        load(path)


def test_characters_outside_the_vocabulary_stay_in_the_truth_and_are_listed(tmp_path):
    found = load(table(tmp_path, usual("late.wav,two éé!,test")))
    assert read_back(found, "test")[-1] == "two éé!"
    assert "Characters that no training transcript has, each of which counts as an error: 'é' (2), '!' (1)." in found.said
    problem = kinds(found)["characters_not_in_train"]
    assert (problem["severity"], problem["count"], problem["where"]) == ("warning", 3, "test: data.csv row 130")
    batch = encode(found.splits["test"], SPEC).target_batch([4])
    assert batch.shape == (1, 4), "what cannot be spelled is not taught"


def test_signs_that_nobody_says_are_named(tmp_path):
    found = load(table(tmp_path, usual("ask.wav,one? two.,train")))
    assert "Signs are spelled too: '.', '?'. Take them out of the transcripts if nobody is to read them." in found.said


def test_a_script_without_spaces_is_measured_by_character(tmp_path):
    rows = [f"{i}.wav,{'我去学校' if i % 2 else '你好吗'},train" for i in range(40)]
    assert load(table(tmp_path, rows)).facts["headline"] == "cer"


def test_sounds_that_cannot_be_read_are_listed_beside_those_that_are_converted(tmp_path):
    clip(tmp_path / "stereo.wav", tone(0.3, channels=2, seed=900))
    clip(tmp_path / "fine.wav", tone(0.3, rate=96_000, seed=901), 96_000)
    clip(tmp_path / "short.wav", tone(0.0))
    (tmp_path / "broken.wav").write_bytes(b"JUNKJUNKJUNK")
    more = [f"{name}.wav,two,train" for name in ("stereo", "fine", "short", "broken")]
    found = load(table(tmp_path, [*usual(), *rows_of(["two one"] * 120, start=1000), *more]))
    reasons = {item.where: item.reason for item in found.rejected}
    assert reasons["data.csv row 252"] == "zero length: a header and no samples"
    assert reasons["data.csv row 253"].startswith("not a sound, or a damaged one") and len(reasons) == 2
    assert {"several_channels", "several_rates", "unreadable_sounds"} <= kinds(found).keys()


def test_targets_of_a_batch_are_as_long_as_its_longest_transcript(tmp_path):
    found = load(table(tmp_path, usual()))
    train, valid = (encode(found.splits[name], SPEC) for name in ("train", "valid"))
    assert train.target_batch([1, 2]).tolist()[1] == [*train.targets[2].tolist(), IGNORE, IGNORE]
    both = concat(train, valid)
    mixed = both.target_batch([2, len(train)])
    assert mixed.shape == (2, 7) and (mixed[0] == IGNORE).sum() == 4
    assert np.array_equal(both.target_batch([2, 0])[1].numpy(), train.targets[0])


def test_transcripts_as_librispeech_has_them(tmp_path):
    for split, reader in (("train-clean-100", 84), ("dev-clean", 174), ("test-clean", 260)):
        folder = tmp_path / split / str(reader) / "1"
        for index in range(4):
            clip(folder / f"{reader}-1-{index:04}.flac", tone(0.2, seed=reader + index))
        lines = [f"{reader}-1-{index:04} GO DO YOU HEAR" for index in range(4)]
        (folder / f"{reader}-1.trans.txt").write_text("\n".join(lines))
    found = load(tmp_path)
    assert found.task == "speech-recognition"
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 4, "valid": 4, "test": 4}
    assert read_back(found, "test") == ["go do you hear"] * 4
    assert "Transcripts lie beside the sounds, in 3 files (.trans.txt)." in found.said
    alone = load(tmp_path / "train-clean-100" / "84" / "1" / "84-1.trans.txt", valid_fraction=0.0, test_fraction=0.0)
    assert len(alone.splits["train"]) == 4
