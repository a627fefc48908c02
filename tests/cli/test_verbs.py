"""The verbs as a person types them: tables for people, one JSON document for programs, exit codes, errors that say what to type."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from regraft.cli.show import metrics_table

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
QUICK = ["--strategy", "top(n=1)", "--epochs", "1", "--lr", "1e-3", "--batch-size", "8"]


def parsed(answer: tuple[int, str, str]) -> dict[str, Any]:
    code, out, err = answer
    assert code == 0, err
    return json.loads(out)


def test_the_main_job_verb_by_verb(regraft, data, model):
    assert parsed(regraft("check", str(data), "--json"))["num_examples"] == 60
    plan = parsed(regraft("plan", str(data), "--model", model, *QUICK, "--json"))
    assert [cell["stage"] for cell in plan["phases"][0]["cells"]] == ["stem", "blocks.0", "blocks.1", "head"]
    tune = parsed(regraft("tune", str(data), "--model", model, *QUICK, "--name", "first", "--json"))
    assert {"generation", "digest", "metrics", "cost", "plan", "report", "warnings"} <= tune.keys()
    assert tune["plan"]["phases"][0]["cells"] == plan["phases"][0]["cells"]
    log = parsed(regraft("log", "--json"))["generations"]
    assert [row["digest"] for row in log] == [tune["digest"]]
    assert parsed(regraft("show", "first", "--verify", "--json"))["verified"] is True
    assert parsed(regraft("evaluate", "first", str(data), "--json"))["num_examples"] == 60
    found = parsed(regraft("predict", "first", "where is it", "my money back", "--json"))["predictions"]
    assert [p["input"] for p in found] == ["where is it", "my money back"]
    code, out, err = regraft("predict", "first", str(data), "--to", str(data.with_name("answers.csv")))
    assert (code, out) == (0, "") and "60 predictions in" in err
    assert data.with_name("answers.csv").read_text(encoding="utf-8").splitlines()[0] == "input,label,probability"
    assert Path(parsed(regraft("report", "first", "--json"))["report"]).exists()


def test_people_get_tables(regraft, data, model):
    code, out, err = regraft("tune", str(data), "--model", model, *QUICK, "--name", "first")
    assert code == 0
    assert "cached below   nothing: it is read only once" in out and "accuracy" in out and "forecast" in out
    assert "epoch 1/1" in err
    assert "top(n=1)" in regraft("log")[1]
    assert "blocks.0" in regraft("show", "first")[1]


def test_metrics_of_no_split_are_said_to_be_none():
    assert metrics_table({"valid": {}, "test": {}}) == "nothing was measured: the data left no example for valid or test"


def test_names_tags_and_rollback(regraft, data, model):
    one = parsed(regraft("tune", str(data), "--model", model, *QUICK, "--name", "it", "--json"))
    two = parsed(regraft("tune", str(data), "--model", model, *QUICK, "--name", "it", "--seed", "1", "--json"))
    assert parsed(regraft("tag", "it", "production", "--json"))["digest"] == two["digest"]
    assert parsed(regraft("show", "it~1", "--json"))["digest"] == one["digest"]
    assert parsed(regraft("rollback", "it", "--json"))["digest"] == one["digest"]
    assert parsed(regraft("show", "it", "--json"))["digest"] == one["digest"]
    assert parsed(regraft("show", "production", "--json"))["digest"] == two["digest"]


def test_a_recipe_is_read_and_a_flag_wins(regraft, data, model, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"model: '{model}'\nstrategy: full\nsettings: {{epochs: 3, lr: 0.002}}\n", encoding="utf-8")
    plan = parsed(regraft("plan", str(data), "--recipe", str(recipe), "--epochs", "1", "--set", "augment.word_dropout=0.1", "--json"))
    assert plan["strategy"] == "full"
    assert (plan["settings"]["epochs"], plan["settings"]["lr"], plan["settings"]["augment"]) == (1.0, 0.002, {"word_dropout": 0.1})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["plan", "/no/such/place"], "no such file or folder"),
        (["plan", "{data}", "--model", "{model}", "--strategy", "lorra(rank=4)"], "did you mean 'lora'"),
        (["plan", "{data}", "--model", "{model}", "--set", "lable_smoothing=1"], "did you mean 'label_smoothing'"),
        (["plan", "{data}", "--model", "{model}", "--lr", "fast"], "neither a number nor 'find'"),
        (["plan", "{data}", "--model", "{model}", "--epochs", "-1"], "epochs lies between"),
        (["plan", "{data}", "--model", "{model}", "--set", "augment.colour=1"], "no augmentation of that name"),
        (["plan", "{data}", "--model", "{model}", "--set", "augment.flip=1"], "flip"),
        (["plan", "{data}", "--model", "bundled:minilmm"], "did you mean"),
        (["plan"], "give DATA"),
        (["predict", "nobody", "text"], "the first one"),
        (["show", "nobody"], "the first one"),
        (["evaluate", "nobody", "{data}"], "the first one"),
    ],
)
def test_a_wrong_request_is_answered_with_what_to_type(regraft, data, model, words, told):
    code, out, err = regraft(*(word.format(data=data, model=model) for word in words))
    assert code == 2
    assert out == ""
    assert told in err and "asked:" in err and "try:" in err


def test_a_wrong_request_is_one_json_document_too(regraft):
    code, out, _ = regraft("plan", "/no/such/place", "--json")
    assert code == 2 and json.loads(out)["error"]["found"].startswith("no such file")


def test_check_fails_on_errors_in_the_data(regraft, tmp_path):
    data = tmp_path / "one.csv"
    data.write_text("text,label\n" + "".join(f"text number {i},same\n" for i in range(40)), encoding="utf-8")
    code, _, _ = regraft("check", str(data))
    assert code != 0


def test_find_measures_a_rate(regraft, data, model):
    plan = parsed(regraft("plan", str(data), "--model", model, "--strategy", "full", "--lr", "find", "--json"))
    assert any("range test" in reason for reason in plan["reasons"])
    assert 0 < plan["settings"]["lr"] < 1


def test_ctrl_c_saves_and_resume_ends_as_if_nothing_had_happened(data, model, tmp_path):
    command = [sys.executable, "-m", "regraft.cli", "tune", str(data), "--model", model, "--strategy", "full", "--epochs", "60", "--lr", "1e-3",
               "--batch-size", "4", "--set", "refit=false", "--json", "--name", "it"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    interrupted = subprocess.Popen(
        [*command, "--store", str(tmp_path / "a")], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    checkpoint = tmp_path / "a" / "runs" / "it" / "fit" / "good.pt"
    deadline = time.monotonic() + 200
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.0)
    interrupted.send_signal(signal.SIGINT)
    _, told = interrupted.communicate(timeout=200)
    resumed = subprocess.run([*command, "--store", str(tmp_path / "a"), "--resume"], env=environment, capture_output=True, check=True)
    whole = subprocess.run([*command, "--store", str(tmp_path / "b")], env=environment, capture_output=True, check=True)
    assert interrupted.returncode == 1 and b"--resume" in told
    assert json.loads(resumed.stdout)["digest"] == json.loads(whole.stdout)["digest"]


def test_the_documents_of_the_design_are_described():
    assert {path.stem for path in SCHEMAS.glob("*.json")} >= {"check", "plan", "tune", "evaluate", "predict", "log", "error"}
    for path in SCHEMAS.glob("*.json"):
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))
