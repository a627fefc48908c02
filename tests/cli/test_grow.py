"""``regraft grow`` as a person types it: tables, one JSON document, exit 3 where the gate says no."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from regraft.cli.grow import GIVEN
from regraft.evaluate.retention import TOLERANCE
from small import tickets, write_tickets

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "grow.json"


def test_a_class_comes_and_goes(regraft, data, model, tmp_path):
    label = sorted({label for _, label in tickets()})[3]
    more = tmp_path / "more.csv"
    more.write_text("text,label\n" + "".join(f'"{text}",{found}\n' for text, found in tickets() if found == label), encoding="utf-8")
    assert regraft("tune", str(data), "--model", model, "--strategy", "statistics(width=50)", "--name", "mine", "--json")[0] == 0
    code, out, err = regraft("grow", "mine", str(more), "--tolerance", "1", "--json")
    assert code == 0, err
    document = json.loads(out)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["gate"]["passed"] and document["retention"][0]["of"] == "mine"
    code, out, err = regraft("grow", "mine", "--remove-class", label, "--tolerance", "1")
    assert code == 0, err
    assert "gate: passed" in out and "learned in" in out
    code, out, err = regraft("grow", "mine", "--remove-class", "weather")
    assert code == 2 and "the model has no such class" in err


def test_a_refusal_is_one_document_and_exit_3(regraft, model, tmp_path):
    data = write_tickets(tmp_path / "tickets.csv", per_class=20, classes=3)
    options = ("--model", model, "--strategy", "statistics(width=50)", "--set", "keep=nothing", "--name", "mine", "--json")
    assert regraft("tune", str(data), *options)[0] == 0
    more = write_tickets(tmp_path / "more.csv", per_class=30, classes=4)
    code, out, _ = regraft("grow", "mine", str(more), "--json")
    refused = json.loads(out)
    assert code == 3 and refused["gate"]["unmeasured"] and "nothing was stored" in refused["error"]["try"]
    assert len(json.loads(regraft("log", "--json")[1])["generations"]) == 1
    code, out, err = regraft("grow", "mine", str(more), "--accept-forgetting", "keep nothing")
    assert code == 0 and "accepted all the same, for this reason: keep nothing" in out, err


def test_the_tolerance_that_is_said_is_the_one_that_holds():
    assert GIVEN["tolerance"][1] == TOLERANCE


def test_a_new_task_is_a_further_head(regraft, data, model, tmp_path):
    assert regraft("tune", str(data), "--model", model, "--strategy", "linear_probe", "--name", "mine", "--json")[0] == 0
    other = write_tickets(tmp_path / "other.csv", classes=5, skip=5)
    code, out, err = regraft("grow", "mine", str(other), "--new-task", "topic", "--json")
    assert code == 0, err
    document = json.loads(out)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["name"] == "mine.topic" and document["head"]["name"] == "topic" and document["control"]["verdict"]["verdict"] == "tie"
    code, out, err = regraft("grow", "mine", str(other), "--new-task", "again", "--no-control")
    assert code == 0 and "shared, byte for byte: stem, blocks.0, blocks.1; its own: head" in out, err
    assert len(json.loads(regraft("predict", "mine", "where is it", "--head", "topic", "--json")[1])["predictions"][0]["top"]) == 5
    assert json.loads(regraft("evaluate", "mine", str(other), "--head", "topic", "--json")[1])["num_examples"] == 100
    assert "further head topic" in regraft("show", "mine")[1]
    code, _, err = regraft("predict", "mine", "where is it", "--head", "topics")
    assert code == 2 and "its further heads are again, topic" in err
