"""Rows of a table read column by column: which columns are read as what, what is learned of them, and what bad input is answered with."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from regraft.data.field_rows import as_input, asked, kind_of
from regraft.data.fields import Fields, held, row_of, texts_of
from regraft.data.inspect import inspect
from regraft.data.load import load, load_known
from regraft.errors import DataError, RequestError

PURPOSES = ("car", "house", "radio")
NOTES = ("paid late again and again", "never a day late", "moved house three times", "owns a small shop downtown")


def columns(count: int = 60) -> dict[str, list[str]]:
    return {
        "id": [f"{i + 1}" for i in range(count)],
        "note": [f"{NOTES[i % 4]}, file {i} of the branch" for i in range(count)],
        "age": [str(20 + i % 40) for i in range(count)],
        "purpose": [PURPOSES[i % 3] for i in range(count)],
        "label": ["bad" if i % 3 == 0 else "good" for i in range(count)],
    }


def write(path: Path, made: dict[str, list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(made), *zip(*made.values(), strict=True)])
    return path


def plain(count: int = 60) -> dict[str, list[str]]:
    return {name: cells for name, cells in columns(count).items() if name != "note"}


def kinds_of(dataset) -> dict[str, str]:
    return {one.name: one.kind for one in Fields.of(dataset.facts).each}


def test_a_text_with_a_label_stays_one_whatever_else_the_table_has(tmp_path):
    found = load(write(tmp_path / "a.csv", columns()))
    assert (found.task, found.splits["train"].parts) == ("text-classification", "one")
    short = {"id": [str(i) for i in range(60)], "word": [f"w{i % 50}" for i in range(60)], "label": ["a", "b"] * 30}
    with pytest.raises(DataError, match="no column looks like text"):
        load(write(tmp_path / "b.csv", short))


def test_the_task_reads_every_column_but_what_numbers_the_rows(tmp_path):
    found = load(write(tmp_path / "a.csv", columns()), task="text-table-classification")
    assert kinds_of(found) == {"note": "text", "age": "number", "purpose": "category"}
    assert "Left out, as they only number the rows: id." in found.said
    assert any(said.startswith("Each row of columns is an example: text in note; numbers age; categories purpose.") for said in found.said)
    train = found.splits["train"]
    assert texts_of(train)[0] == row_of(train.inputs[0])["note"]


def test_a_table_without_text_is_one_of_columns_and_is_written_out_for_the_encoder(tmp_path):
    found = load(write(tmp_path / "a.csv", plain()))
    assert found.task == "text-table-classification"
    assert texts_of(found.splits["train"])[0].startswith("age: ") and "; purpose: " in texts_of(found.splits["train"])[0]


def test_named_columns_make_a_row_and_may_say_their_kind(tmp_path):
    path = write(tmp_path / "a.csv", columns())
    assert kinds_of(load(path, input="age,purpose,note")) == {"age": "number", "purpose": "category", "note": "text"}
    assert kinds_of(load(path, input="note,age")) == {"note": "text", "age": "number"}, "no pair of texts"
    assert kinds_of(load(path, input="age:category,purpose:text")) == {"age": "category", "purpose": "text"}
    pair = {**columns(), "second": columns()["note"][::-1]}
    assert load(write(tmp_path / "b.csv", pair), input="note,second").task == "text-pair-classification"


def test_a_name_with_a_comma_stands_in_quotes_and_the_learned_columns_can_be_asked_for_again(tmp_path):
    assert asked('"age, in years",purpose', ("age, in years", "purpose")) == (("age, in years", None), ("purpose", None))
    facts = {"columns": Fields.of({"columns": [{"name": "age, in years", "kind": "number", "values": []}]}).json()}
    assert asked(as_input(facts), ("age, in years",)) == (("age, in years", "number"),)


def test_numbers_are_standardised_and_values_marked_by_what_train_shows(tmp_path):
    found = load(write(tmp_path / "a.csv", plain(300)))
    fields, rows = Fields.of(found.facts), [row_of(text) for text in found.splits["train"].inputs]
    made = fields.numbers(rows)
    assert made.shape == (len(rows), 4) and made.dtype == np.float32
    assert made[:, 0].mean() == pytest.approx(0, abs=1e-5) and made[:, 0].std() == pytest.approx(1, abs=1e-5)
    assert (made[:, 1:].sum(axis=1) == 1).all()
    strange = fields.numbers([{"age": None, "purpose": "boat"}])
    assert strange.tolist() == [[0, 0, 0, 0]], "a value that train does not have is none of the known ones"


def test_a_missing_number_is_the_mean_and_is_marked(tmp_path):
    made = plain(90)
    made["age"][::5] = ["NA", ""] * 9
    found = load(write(tmp_path / "a.csv", made))
    (age,) = [one for one in Fields.of(found.facts).each if one.name == "age"]
    assert age.marks and age.numbers(["", "?", str(age.mean)]).tolist() == [[0, 1], [0, 1], [0, 0]]
    assert {"missing_numbers"} <= {one["kind"] for one in inspect(found)["problems"]}


def test_a_text_in_a_column_of_numbers_is_listed_with_its_row(tmp_path):
    made = plain(200)
    made["age"][7] = "forty"
    found = load(write(tmp_path / "a.csv", made))
    assert [(one.where, one.reason) for one in found.rejected] == [("a.csv row 9", "column 'age' holds 'forty' where numbers are")]
    made["age"][8:14] = ["many"] * 6
    with pytest.raises(DataError, match=r"7 of 200 rows or files \(3.5%\) cannot be used: column 'age' holds 'many' where numbers are"):
        load(write(tmp_path / "b.csv", made))


@pytest.mark.parametrize(("cell", "kind"), [("", "empty_column"), ("same", "constant_column")])
def test_a_column_that_says_nothing_is_said_and_left_out(tmp_path, cell, kind):
    found = load(write(tmp_path / "a.csv", {**plain(), "more": [cell] * 60}))
    assert "Say nothing, as they are the same in every training row or empty: more." in found.said
    assert Fields.of(found.facts).width == 4
    (problem,) = [one for one in inspect(found)["problems"] if one["kind"] == kind]
    assert problem["where"] == "train: more" and problem["severity"] == "warning"


def test_only_columns_that_say_nothing_are_an_error(tmp_path):
    made = {"age": ["5"] * 60, "purpose": [""] * 60, "label": ["a", "b"] * 30}
    with pytest.raises(DataError, match="none of them is of numbers or categories that differ in train"):
        load(write(tmp_path / "a.csv", made), task="text-table-classification")


def test_a_column_that_is_not_there_is_named_with_what_is(tmp_path):
    with pytest.raises(DataError, match="no such column; the columns are id, note, age, purpose, label") as refused:
        load(write(tmp_path / "a.csv", columns()), input="note,agee,purpose")
    assert "agee" in str(refused.value) and "age" in refused.value.advice
    with pytest.raises(DataError, match="the target is among the inputs"):
        load(tmp_path / "a.csv", input="note,age,label", target="label")


def test_other_rows_are_read_by_the_columns_that_were_learned(tmp_path):
    found = load(write(tmp_path / "a.csv", plain()))
    other = {name: cells[:20] for name, cells in plain().items()}
    other["purpose"] = ["boat"] * 20
    swapped = dict(reversed(other.items()))
    known = load_known(write(tmp_path / "b.csv", swapped), found.classes, facts=found.facts, task="text-table-classification")
    assert known.facts["columns"] == found.facts["columns"]
    unknown = [one for one in inspect(known)["problems"] if one["kind"] == "unknown_values"]
    assert unknown[0]["count"] == 20 and "'boat'" in unknown[0]["advice"]
    assert held({"b": 1, "a": None}) == held({"a": float("nan"), "b": "1"}) == '{"a": null, "b": "1"}'


def test_rows_to_be_answered_lack_no_column():
    fields = Fields.of({"columns": [{"name": "age", "kind": "number", "std": 1.0, "values": []}]})
    with pytest.raises(RequestError, match="it has no column 'age'; it has agee"):
        fields.check([{"agee": "3"}])
    with pytest.raises(RequestError, match="column 'age' holds 'old' where numbers are"):
        fields.check([{"age": "3"}, {"age": "old"}])
    with pytest.raises(RequestError, match="it is no object of names and values"):
        row_of("a text")


def test_a_number_for_a_target_and_records_as_json_lines(tmp_path):
    rows = [{"size": i % 17, "kind": "ab"[i % 2], "flat": f"{NOTES[i % 4]} number {i}", "price": i * 1.5} for i in range(60)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = load(tmp_path / "a.jsonl", task="text-table-regression", target="price")
    assert found.task == "text-table-regression" and {"mean", "std", "columns"} <= found.facts.keys()
    assert kinds_of(found) == {"size": "number", "kind": "category", "flat": "text"}


def test_kinds_of_columns():
    assert kind_of("age", ["1", "2", "2", "NA"]) == "number"
    assert kind_of("Unnamed: 0", [str(i) for i in range(30)]) is None
    assert kind_of("code", [f"A{i:04}" for i in range(30)]) is None
    assert kind_of("city", ["Rome", "Oslo"] * 10) == "category"
