"""Tables as people have them: columns by name and by content, formats, split columns, and what cannot be read."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from regraft.data import load, load_known
from regraft.errors import DataError

TAILS = (
    "today",
    "before noon",
    "as agreed on Monday",
    "or explain",
    "because I travel",
    "for my wife",
    "in Lyon",
    "at once",
    "if you can",
    "without a fee",
)
SENTENCES = [f"{verb} my {thing} {tail} please" for tail in TAILS for verb in ("block", "find") for thing in ("card", "loan", "account")]
LABELS = [sentence.split()[0] for sentence in SENTENCES]


def write(path: Path, rows: list[tuple], header: tuple[str, ...] = ("text", "label"), delimiter: str = ",") -> Path:
    lines = [delimiter.join(map(str, row)) for row in ([header] if header else []) + rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table(path: Path) -> Path:
    return write(path, list(zip(SENTENCES, LABELS, strict=True)))


def test_a_csv_becomes_three_splits_with_one_class_map(tmp_path):
    found = load(table(tmp_path / "tickets.csv"))
    assert found.classes == ("block", "find")
    assert (found.task, found.kind, found.given_splits, found.rejected) == ("text-classification", "text", (), ())
    assert list(found.splits) == ["train", "valid", "test"]
    assert found.num_examples == len(SENTENCES)
    train = found.splits["train"]
    assert train.table.column_names == ["input", "target", "digest", "where"]
    assert all(text.split()[0] == found.classes[target] for text, target in zip(train.inputs, train.targets, strict=True))
    assert any("column 'text'" in sentence for sentence in found.said)


def test_where_counts_rows_as_a_spreadsheet_does(tmp_path):
    found = load(table(tmp_path / "tickets.csv"), valid_fraction=0, test_fraction=0)
    assert found.splits["train"].where(0) == "tickets.csv row 2"
    assert list(found.splits) == ["train"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_every_format_gives_the_same_examples(tmp_path, ending):
    expected = load(table(tmp_path / "a.csv"))
    path = tmp_path / f"b.{ending}"
    records = [{"text": text, "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    if ending in ("csv", "tsv"):
        write(path, list(zip(SENTENCES, LABELS, strict=True)), delimiter="\t" if ending == "tsv" else ",")
    elif ending == "parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(records), path)
    else:
        path.write_text(json.dumps(records) if ending == "json" else "\n".join(map(json.dumps, records)), encoding="utf-8")
    assert load(path).fingerprint == expected.fingerprint


def test_json_named_file_of_lines_is_read_by_line(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("\n".join(json.dumps({"text": t, "label": n}) for t, n in zip(SENTENCES, LABELS, strict=True)))
    assert load(path).num_examples == len(SENTENCES)


def test_semicolons_and_byte_order_marks_are_understood_and_said(tmp_path):
    path = write(tmp_path / "a.csv", list(zip(SENTENCES, LABELS, strict=True)), delimiter=";")
    path.write_bytes(path.read_text().encode("utf-16"))
    found = load(path)
    assert found.num_examples == len(SENTENCES)
    assert {"a.csv separates its columns by semicolons.", "a.csv is UTF-16, as its byte order mark says."} <= set(found.said)


def test_words_such_as_na_and_null_stay_texts(tmp_path):
    rows = [("NA", "no"), ("null", "no"), ("None", "yes"), ("nan", "yes")]
    found = load(write(tmp_path / "a.csv", rows), valid_fraction=0, test_fraction=0)
    assert found.splits["train"].inputs == ["NA", "null", "None", "nan"]


def test_number_labels_are_ordered_by_value(tmp_path):
    rows = [(f"some text about the number {i}", i % 11 - 1) for i in range(44)]
    assert load(write(tmp_path / "a.csv", rows)).classes == tuple(map(str, range(-1, 10)))


def test_columns_are_found_by_content_when_names_say_nothing(tmp_path):
    rows = [(i, text, label) for i, (text, label) in enumerate(zip(SENTENCES, LABELS, strict=True))]
    found = load(write(tmp_path / "a.csv", rows, header=("nr", "what_they_wrote", "which")))
    assert found.classes == ("block", "find")
    assert any("long and hardly repeat" in sentence for sentence in found.said)


def test_two_possible_label_columns_are_an_error_that_lists_them(tmp_path):
    rows = [(text, label, text.split()[2]) for text, label in zip(SENTENCES, LABELS, strict=True)]
    path = write(tmp_path / "a.csv", rows, header=("text", "verb", "thing"))
    with pytest.raises(
        DataError, match=r"several columns could be the label: verb \(2 different.*; thing \(3.*\n.*--target verb or --target thing"
    ):
        load(path)
    assert load(path, target="thing").classes == ("account", "card", "loan")


def test_two_text_columns_are_an_error_that_lists_them(tmp_path):
    rows = [(text, f"{text} said again", label) for text, label in zip(SENTENCES, LABELS, strict=True)]
    path = write(tmp_path / "a.csv", rows, header=("opening", "answer", "label"))
    with pytest.raises(DataError, match="say which: --input opening or --input answer"):
        load(path)
    assert load(path, input="opening").num_examples == len(rows)


def test_unknown_column_names_the_nearest(tmp_path):
    with pytest.raises(DataError, match=r"--target labl .*\n.*no such column; the columns are text, label\n.*did you mean 'label'"):
        load(table(tmp_path / "a.csv"), target="labl")


def test_split_column_is_respected_and_only_the_missing_split_carved(tmp_path):
    splits = ["train", "train", "train", "test"] * 15
    rows = list(zip(SENTENCES, LABELS, splits, strict=True))
    found = load(write(tmp_path / "a.csv", rows, header=("text", "label", "split")), valid_fraction=0.3)
    assert found.given_splits == ("train", "test")
    assert set(found.splits["test"].inputs) == set(SENTENCES[3::4])
    assert len(found.splits["valid"]) > 0


def test_split_files_are_respected_and_other_files_named(tmp_path):
    for name in ("train", "dev", "test"):
        table(tmp_path / f"{name}.csv")
    (tmp_path / "oos.csv").write_text("text,label\nx,y\n")
    (tmp_path / "README.md").write_text("about")
    found = load(tmp_path)
    assert {name: len(split) for name, split in found.splits.items()} == dict.fromkeys(("train", "valid", "test"), len(SENTENCES))
    assert any("oos.csv" in sentence for sentence in found.said)
    assert any("README.md" in sentence for sentence in found.said)


def test_two_files_for_one_split_are_an_error(tmp_path):
    table(tmp_path / "train.csv")
    table(tmp_path / "training.csv")
    with pytest.raises(DataError, match=r"several files claim it: train\.csv, training\.csv"):
        load(tmp_path)


def test_a_folder_of_unnamed_tables_asks_for_one(tmp_path):
    table(tmp_path / "one.csv")
    table(tmp_path / "two.csv")
    with pytest.raises(DataError, match=r"2 tables, none named train, valid or test: one\.csv, two\.csv"):
        load(tmp_path)


def test_a_file_without_the_column_of_train_is_named(tmp_path):
    table(tmp_path / "train.csv")
    write(tmp_path / "test.csv", [("a b", "block")], header=("text", "lable"))
    with pytest.raises(DataError, match=r"test\.csv\nfound: it has no column 'label', which train\.csv has"):
        load(tmp_path)


def test_a_missing_path_suggests_the_nearest_name(tmp_path):
    table(tmp_path / "tickets.csv")
    with pytest.raises(DataError, match=r"no such file or folder\ntry:   did you mean .*tickets\.csv"):
        load(tmp_path / "ticket.csv")


def test_a_hub_name_while_offline_is_a_clear_error(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="set to stay offline"):
        load("hf:someone/something")


def test_a_hub_that_does_not_answer_is_said_at_once(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(DataError, match="no such file or folder here, and the hub does not answer"):
        load("someone/something")
    assert time.monotonic() - began < 25  # what it took with retries, on an idle machine


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"text,label\n", "a header and no usable row"),
        (b"words\na\nb\n", "only one column: words"),
        (b"text,text\na,b\n", "names 'text' more than once"),
        (b"text,label\na b,x\nc d,x\n", "one class only: 'x'"),
        (b"text,label\n,x\n ,y\n", "not one usable example among 2: empty text"),
    ],
)
def test_a_table_without_use_is_refused(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(path)


def test_an_unknown_ending_says_what_is_read(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"a \.xlsx\ntry:   give a folder of class folders"):
        load(tmp_path / "a.xlsx")


def ragged(path: Path, num_ragged: int) -> Path:
    rows = [f"{text} {i},{label}" for i in range(5) for text, label in zip(SENTENCES, LABELS, strict=True)]
    for at in range(num_ragged):
        rows.insert(10 + at, "one,two,three")
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def test_ragged_rows_are_listed_with_their_row(tmp_path):
    found = load(ragged(tmp_path / "a.csv", 2))
    assert [(item.where, item.reason) for item in found.rejected] == [(f"a.csv row {row}", "ragged: 3 of 2 columns") for row in (12, 13)]
    whole = load(ragged(tmp_path / "a.csv", 2), valid_fraction=0, test_fraction=0).splits["train"]
    assert whole.where(9) == "a.csv row 11"
    assert whole.where(10) == "a.csv row 14"


def test_more_than_one_percent_rejected_is_an_error_unless_allowed(tmp_path):
    path = ragged(tmp_path / "a.csv", 10)
    with pytest.raises(DataError, match=r"10 of 310 rows or files \(3\.2%\) cannot be used: ragged"):
        load(path)
    assert len(load(path, allow_rejected=True).rejected) == 10


def test_a_quotation_mark_that_never_closes_counts_every_line_it_swallows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "text,label\n" + "".join(f"{t},{n}\n" for t, n in zip(SENTENCES, LABELS, strict=True)) + '"oh no,block\n' + "a b,find\n" * 30
    )
    with pytest.raises(DataError, match=r"never closed and swallows 30 more lines"):
        load(path)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("gb18030", ("酒店很干净，服务也好", "房间太小，早餐难吃")),
        ("cp1252", ("où est ma carte déjà payée", "j’ai été débité deux fois")),
        ("big5", ("飯店很乾淨，服務也好", "房間太小，早餐難吃")),
        ("shift_jis", ("部屋がとても綺麗でした", "朝食がまずかったです")),
    ],
)
def test_another_encoding_is_named_with_the_command_that_converts(tmp_path, encoding, words):
    path = tmp_path / "a.csv"
    rows = "".join(f"{words[i % 2]} {i},{i % 2}\n" for i in range(40))
    path.write_bytes(("text,label\n" + rows).encode(encoding))
    with pytest.raises(
        DataError, match=rf"not UTF-8.*it reads well as {encoding}\ntry:   convert it: iconv -f {encoding.upper()} -t UTF-8 a\.csv"
    ):
        load(path)


def test_a_single_row_that_is_not_utf8_is_listed(tmp_path):
    path = ragged(tmp_path / "a.csv", 0)
    path.write_bytes(path.read_bytes() + b"caf\xe9,find\n")
    (only,) = load(path).rejected
    assert (only.where, only.reason) == ("a.csv row 302", "not UTF-8")


def test_broken_json_lines_are_listed(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"text": f"{t} {i}", "label": n}) for i in range(3) for t, n in zip(SENTENCES, LABELS, strict=True)]
    path.write_text("\n".join([*lines[:5], "{oops", *lines[5:], '{"text": "no label here"}']))
    reasons = {item.where: item.reason for item in load(path, allow_rejected=True).rejected}
    assert reasons["a.jsonl row 6"].startswith("not JSON")
    assert reasons["a.jsonl row 182"] == "no label"


def test_a_label_that_train_does_not_have_is_an_error_or_listed(tmp_path):
    table(tmp_path / "train.csv")
    write(tmp_path / "test.csv", [("block it", "block"), ("lose it", "lose")])
    with pytest.raises(DataError, match=r"labels that train does not have: 'lose' \(1 in test\)"):
        load(tmp_path)
    found = load(tmp_path, allow_rejected=True)
    assert [(item.where, item.split) for item in found.rejected] == [("test.csv row 3", "test")]
    assert len(found.splits["test"]) == 1


def test_labels_that_differ_by_case_are_named_together(tmp_path):
    table(tmp_path / "train.csv")
    write(tmp_path / "test.csv", [("block it", "Block"), ("find it", "find ")])
    with pytest.raises(DataError, match="write 'Block' as 'block', 'find ' as 'find': they differ only by case"):
        load(tmp_path)


def test_a_task_that_the_data_is_not_for_is_refused(tmp_path):
    path = table(tmp_path / "a.csv")
    with pytest.raises(DataError, match="did you mean 'image-classification'"):
        load(path, task="image-clasification")
    with pytest.raises(DataError, match="no column looks like text or like paths of images or sounds"):
        load(path, task="image-classification")


def test_measuring_keeps_the_class_map_that_it_is_given(tmp_path):
    path = write(tmp_path / "new.csv", [("find my loan", "find"), ("find my card", "find")])
    found = load_known(path, ["a", "block", "find"])
    assert found.splits["test"].targets.tolist() == [2, 2]
    with pytest.raises(DataError, match=r"with the labels of the model\nfound: labels that the model does not have: 'find'"):
        load_known(path, ["a", "block"])


def test_fractions_that_leave_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match="leave something to train on"):
        load(table(tmp_path / "a.csv"), valid_fraction=0.5, test_fraction=0.5)
