"""Targets of every form: what is inferred and said, what overrules, what bad input is answered with."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from made import sentences

from regraft.data.load import load, load_known
from regraft.errors import DataError
from regraft.spec import PART

TEXTS = sentences(60)


def write(path: Path, columns: dict[str, list[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path


def numbers(count: int = 60) -> list[str]:
    return [f"{1 + 4 * index / count:.2f}" for index in range(count)]


def conll(path: Path, tagged: list[list[tuple[str, str]]], between: str = "\t") -> Path:
    path.write_text("\n\n".join("\n".join(between.join(pair) for pair in sentence) for sentence in tagged) + "\n", encoding="utf-8")
    return path


def people(count: int = 30) -> list[list[tuple[str, str]]]:
    return [[(f"Ann{i}", "B-per"), ("Lee", "I-per"), ("met", "O"), (f"Bo{i}", "B-per")] for i in range(count)]


def test_many_numbers_are_predicted_as_numbers_and_that_is_said(tmp_path):
    path = write(tmp_path / "a.csv", {"text": TEXTS, "score": numbers()})
    found = load(path)
    assert (found.task, found.classes) == ("text-regression", ("value",))
    assert (
        "Column 'score' holds numbers of many values, so they are predicted as numbers; --task text-classification takes them for classes."
        in found.said
    )
    train = found.splits["train"].targets
    assert train.dtype == np.float32 and found.facts["mean"] == pytest.approx(train.mean(), abs=0.3)
    assert len(load(path, task="text-classification", valid_fraction=0, test_fraction=0).classes) == 60


def test_few_whole_numbers_are_classes_unless_a_task_says_otherwise(tmp_path):
    path = write(tmp_path / "a.csv", {"text": TEXTS, "label": [index % 5 for index in range(60)]})
    assert load(path).task == "text-classification"
    assert load(path, task="text-regression").splits["train"].targets.dtype == np.float32
    levels = load(path, task="text-ordinal")
    assert levels.classes == ("0", "1", "2", "3", "4") and levels.facts["levels"] == [0, 1, 2, 3, 4]


def test_targets_that_are_texts_are_an_error_with_advice(tmp_path):
    path = write(tmp_path / "a.csv", {"text": TEXTS, "label": ["good", "bad"] * 30})
    with pytest.raises(
        DataError,
        match=r"found: targets that are texts: 'good', 'bad'\ntry:   name a column of numbers with --target; for texts as targets: --task text-classification",
    ):
        load(path, task="text-regression")
    with pytest.raises(DataError, match="levels that are no numbers: 'bad', 'good'"):
        load(path, task="text-ordinal")
    comma = write(tmp_path / "b.csv", {"text": TEXTS, "label": [number.replace(".", ",") for number in numbers()]})
    with pytest.raises(DataError, match=r"write decimals with a point: 3\.5, not 3,5"):
        load(comma, task="text-regression")


def test_a_number_that_is_none_is_listed_with_its_row(tmp_path):
    values = numbers(200)
    values[7] = "n/a"
    found = load(write(tmp_path / "a.csv", {"text": sentences(200), "score": values}), task="text-regression")
    assert [(item.where, item.reason) for item in found.rejected] == [("a.csv row 9", "target 'n/a' is no number")]
    values[:20] = ["nan"] * 20
    with pytest.raises(DataError, match=r"20 of 200 rows or files \(10.0%\) cannot be used: target 'nan' is no number"):
        load(write(tmp_path / "b.csv", {"text": sentences(200), "score": values}), task="text-regression")


def test_targets_that_are_all_the_same_are_an_error(tmp_path):
    with pytest.raises(DataError, match="every target is 3"):
        load(write(tmp_path / "a.csv", {"text": TEXTS, "score": ["3.0"] * 60}), target="score", task="text-regression")


@pytest.mark.parametrize(("mark", "several"), [("|", "joy|love"), (";", "joy; love"), (",", "joy, love")])
def test_several_labels_in_a_cell_are_a_set(tmp_path, mark, several):
    found = load(
        write(tmp_path / "a.csv", {"text": TEXTS, "labels": [several, "joy", "love", "fear"] * 15}), valid_fraction=0, test_fraction=0
    )
    assert (found.task, found.classes, found.facts) == ("text-multilabel", ("fear", "joy", "love"), {"separator": mark})
    assert found.splits["train"].targets[:2].tolist() == [[0, 1, 1], [0, 1, 0]]
    assert found.counts("train") == {"fear": 15, "joy": 30, "love": 30}


def test_a_json_list_is_a_set_and_may_be_empty(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"text": text, "labels": labels} for text, labels in zip(TEXTS, [["joy", "love"], ["joy"], []] * 20, strict=True)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = load(path, valid_fraction=0, test_fraction=0)
    assert found.task == "text-multilabel" and found.splits["train"].targets[2].tolist() == [0, 0]


def test_a_comma_in_a_name_makes_no_set(tmp_path):
    found = load(write(tmp_path / "a.csv", {"text": TEXTS, "label": ["Clothing, shoes", "Books", "Garden"] * 20}))
    assert found.task == "text-classification" and "Clothing, shoes" in found.classes


def test_a_label_that_train_does_not_have_is_an_error_or_listed(tmp_path):
    labels = [*["joy|love", "joy", "love"] * 19, "joy", "joy|envy", "love"]
    path = write(tmp_path / "a.csv", {"text": TEXTS, "labels": labels, "split": [*["train"] * 57, *["test"] * 3]})
    with pytest.raises(DataError, match=r"labels that train does not have: 'envy'\n.*--allow-rejected"):
        load(path)
    found = load(path, allow_rejected=True)
    assert [(item.split, item.reason) for item in found.rejected] == [("test", "label 'envy' is not in train")]


def test_two_columns_that_belong_together_are_a_pair(tmp_path):
    path = write(tmp_path / "a.csv", {"premise": TEXTS, "hypothesis": TEXTS[::-1], "label": ["yes", "no"] * 30})
    found = load(path)
    assert found.task == "text-pair-classification" and found.splits["train"].parts == "pair"
    assert "Inputs are pairs of texts, from the columns 'premise' and 'hypothesis'." in found.said
    assert found.splits["train"].inputs[0].count(PART) == 1
    assert load(path, input="premise").task == "text-classification"


def test_a_pair_can_be_named_and_a_missing_half_is_listed(tmp_path):
    second = [*TEXTS[::-1][:-1], ""]
    path = write(tmp_path / "a.csv", {"ours": TEXTS, "theirs": second, "score": numbers()})
    found = load(path, input="ours,theirs", allow_rejected=True)
    assert found.task == "text-pair-regression"
    assert [(item.where, item.reason) for item in found.rejected] == [("a.csv row 61", "empty text")]
    with pytest.raises(DataError, match=r"no two column names that belong together.*\n.*--input first,second"):
        load(path, task="text-pair-classification", target="score")


def test_conll_is_known_by_its_content(tmp_path):
    found = load(conll(tmp_path / "train.tsv", people()), valid_fraction=0, test_fraction=0)
    assert found.task == "token-classification" and found.classes == ("O", "B-per", "I-per")
    assert "train.tsv is in CoNLL form: a word and its tag to a line." in found.said
    assert found.splits["train"].targets[0].tolist() == [1, 2, 0, 1]
    assert found.splits["train"].where(1) == "train.tsv row 6"


def test_conll_under_other_names_with_spaces_comments_and_document_marks(tmp_path):
    (tmp_path / "train.txt").write_text(
        "-DOCSTART- O\n\n# a comment\n" + "\n\n".join(f"Ann{i} x B-per\nran y O" for i in range(30)) + "\n", encoding="utf-8"
    )
    found = load(tmp_path, valid_fraction=0, test_fraction=0)
    assert found.task == "token-classification" and len(found.splits["train"]) == 30
    assert found.splits["train"].inputs[0].split(PART) == ["Ann0", "ran"]


def test_words_and_tags_as_lists_of_a_table(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"tokens": [w for w, _ in s], "ner_tags": [t for _, t in s]}) for s in people()), encoding="utf-8")
    assert load(path).classes == ("O", "B-per", "I-per")


def test_a_sentence_that_breaks_bio_is_listed_and_many_are_an_error(tmp_path):
    broken = [("He", "O"), ("Lee", "I-per")]
    found = load(conll(tmp_path / "a.tsv", [*people(150), broken]))
    assert [item.reason for item in found.rejected] == ["I-per after O at word 2 breaks BIO"]
    with pytest.raises(DataError, match=r"5 of 35 rows or files.*I-per after O at word 2 breaks BIO.*\n.*--allow-rejected"):
        load(conll(tmp_path / "b.tsv", [*people(30), *[[("He" + str(i), "O"), ("Lee", "I-per")] for i in range(5)]]))


def test_a_word_without_tag_and_lists_of_unequal_length_are_listed(tmp_path):
    path = conll(tmp_path / "a.conll", [*people(150), [("alone", "")]])
    path.write_text(path.read_text().replace("alone\t", "alone"), encoding="utf-8")
    assert [item.reason for item in load(path).rejected] == ["line 751 has a word and no tag"]
    rows = [{"tokens": [w for w, _ in s], "tags": [t for _, t in s]} for s in people(150)]
    rows[3]["tags"].append("O")
    table = tmp_path / "a.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert [item.reason for item in load(table).rejected] == ["4 words and 5 tags"]


def test_measuring_reads_targets_as_they_were_learnt(tmp_path):
    path = conll(tmp_path / "a.tsv", people())
    learnt = load(path)
    found = load_known(path, learnt.classes, facts=learnt.facts, task="token-classification")
    assert found.splits["test"].targets[0].tolist() == [1, 2, 0, 1]
    other = conll(tmp_path / "b.tsv", [[("Rome", "B-loc"), ("fell", "O")]] * 3)
    with pytest.raises(DataError, match=r"tags that the model does not have: 'B-loc'\n.*: regraft grow; .* these sentences"):
        load_known(other, learnt.classes, facts=learnt.facts, task="token-classification")


def test_a_task_of_another_kind_of_input_is_refused(tmp_path):
    with pytest.raises(DataError, match="the inputs in column 'text' look like text"):
        load(write(tmp_path / "a.csv", {"text": TEXTS, "label": ["a", "b"] * 30}), task="image-classification", input="text")
