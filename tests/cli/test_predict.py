"""``predict``: what its arguments mean, and predictions as files."""

from __future__ import annotations

import csv
import io
import json

import pytest
from PIL import Image

from regraft.cli import prediction_file
from regraft.cli.inputs import gather
from regraft.cli.predict import text
from regraft.errors import RequestError, StorageError
from regraft.spec import FORMS

TEXT, IMAGE = FORMS["text-classification"], FORMS["image-classification"]
ANSWERS = [
    {"input": "a, b", "label": "x", "probability": 0.5, "top": [{"label": "x"}]},
    {"input": "c", "label": "y", "probability": 0.9, "top": []},
]


def test_texts_files_and_stdin_come_in_order(tmp_path, monkeypatch, capsys):
    (tmp_path / "new.csv").write_text("text\nfirst text\n\nsecond text\n", encoding="utf-8")
    (tmp_path / "gap.csv").write_text("id,text\n1,third text\n2,\n", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("from stdin\n\n"))
    found = gather(["typed", str(tmp_path / "new.csv"), "-", str(tmp_path / "gap.csv")], TEXT)
    assert found.values == ["typed", "first text", "second text", "from stdin", "third text"]
    assert "not answered, 1 in all: gap.csv row 3 (empty)" in capsys.readouterr().err


def test_broken_images_are_listed_and_the_others_answered(tmp_path, capsys):
    Image.effect_noise((32, 32), 60).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:-200])
    (tmp_path / "c.jpg").write_bytes(b"no image at all")
    found = gather([str(tmp_path)], IMAGE)
    assert found.values == [str(tmp_path / "a.png")]
    assert [item["where"] for item in found.rejected] == [str(tmp_path / name) for name in ("b.png", "c.jpg")]
    assert "not an image" in found.rejected[1]["reason"]
    assert "not answered, 2 in all: " in capsys.readouterr().err
    (tmp_path / "a.png").unlink()
    with pytest.raises(RequestError, match=r"no image in there that can be read: .*b\.png \(truncated"):
        gather([str(tmp_path)], IMAGE)


def test_a_file_that_is_not_there_is_no_text(tmp_path):
    (tmp_path / "tickets.csv").write_text("text\na\n", encoding="utf-8")
    with pytest.raises(RequestError, match=r"no such file or folder\ntry:   did you mean .*tickets\.csv"):
        gather([str(tmp_path / "tickts.csv")], TEXT)
    with pytest.raises(RequestError, match="no such file or folder"):
        gather(["a cat on a mat"], IMAGE)


def test_predictions_are_written_as_tables_and_as_json(tmp_path):
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.json"):
        prediction_file.save(ANSWERS, tmp_path / name, ("top",), rejected=[{"where": "d.png", "reason": "0 bytes"}])
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["input", "label", "probability"], ["a, b", "x", "0.5"], ["c", "y", "0.9"]]
    assert (tmp_path / "a.tsv").read_text(encoding="utf-8").splitlines()[1] == "a, b\tx\t0.5"
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()] == ANSWERS
    whole = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert whole == {"schema": 1, "predictions": ANSWERS, "rejected": [{"where": "d.png", "reason": "0 bytes"}]}


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(RequestError, match=r"its ending names no format\ntry:   .*\.csv"):
        prediction_file.check(tmp_path / "a.xlsx")
    with pytest.raises(StorageError, match="No such file or directory"):
        prediction_file.save(ANSWERS, tmp_path / "nowhere" / "a.csv", (), rejected=[])


def test_what_a_model_says_in_its_own_words_is_shown_whole():
    answer = "First this.\n\n" + 20 * "and that, "
    assert text([{"input": "Why?", "answer": answer}, {"input": "How?", "answer": "So."}]) == f"> Why?\n{answer}\n\n> How?\nSo."
