"""Several tasks from one table to one generation and back: trained together, held against their controls, asked together and one by one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import regraft as rg
from regraft.errors import PlanError, RequestError

WORDS = ("refund", "parcel", "login", "card", "late", "please", "where", "is", "my", "the")
OPTIONS = {
    "epochs": 2.0,
    "lr": 3e-3,
    "batch_size": 16,
    "refit": False,
    "target": "kind,score",
    "task": "text-classification,text-regression",
}


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    chance = np.random.default_rng(0)
    texts = [" ".join(chance.choice(WORDS, 5)) + f" {i}" for i in range(110)]
    rows = [
        ("refund" if "refund" in text else "other", f"{text.count('parcel') - text.count('late')}.5" if i % 7 else "", text)
        for i, text in enumerate(texts)
    ]
    path = tmp_path_factory.mktemp("several") / "mail.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["kind", "score", "text", "split"])
        writer.writerows([*row, "train" if i < 70 else "test"] for i, row in enumerate(rows))
    return path


@pytest.fixture(scope="module")
def made(table, model, tmp_path_factory) -> rg.Generation:
    return rg.tune(
        table, model=model, store=tmp_path_factory.mktemp("store"), strategy="lp_ft", name="mail", objective="uncertainty", **OPTIONS
    )


def folder(generation: rg.Generation) -> Path:
    """Of its store."""
    return generation.store.run_folder("mail").parents[1]


def test_one_generation_answers_every_task(made, table):
    assert made.document["task"] == "text-multitask" and made.classes == ("kind", "score")
    (answer,) = made.predict(["where is my refund"])
    assert (
        set(answer) == {"input", "kind", "score"}
        and answer["kind"]["label"] in ("refund", "other")
        and isinstance(answer["score"]["value"], float)
    )
    found = made.evaluate(table)
    assert found["metrics"] == made.metrics["test"] and {"task_mean", "kind/accuracy", "score/r2"} <= set(found["metrics"])
    assert found["metrics"]["kind/accuracy"]["n"] == 40 > found["metrics"]["score/r2"]["n"]


def test_it_is_held_against_equal_weights_and_each_task_by_itself(made):
    for row in made.document["tasks"]:
        assert row["transfer"] in ("negative", "positive", "none") and row["name"] in row["said"]
        assert row["headline"] in row["alone"]["metrics"] and row["headline"] in row["equal"]["metrics"]
        assert row["alone"]["verdict"]["metric"] == row["headline"]
    assert "by itself" in made.document["tasks"][0]["said"] and "with equal weights" in made.document["tasks"][0]["said"]
    page = Path(made.document["report"]).read_text(encoding="utf-8")
    assert "Task by task" in page and "What each task counted" in page and "Predicted and true" not in page.split("Task by task")[0]
    left = [*made.store.names(), *(each.name for each in made.store.run_folder("mail").parent.iterdir())]
    assert {name for name in left if name.startswith("mail")} == {"mail"}, "the controls leave nothing behind"


def test_each_task_can_be_asked_alone(made, table, tmp_path):
    score = rg.open("mail", head="score", store=folder(made))
    (answer,) = score.predict(["where is my parcel"])
    assert answer["value"] == pytest.approx(made.predict(["where is my parcel"])[0]["score"]["value"], rel=1e-5)
    alone = score.evaluate(table)
    assert alone["metrics"]["r2"] == pytest.approx(made.metrics["test"]["score/r2"], rel=1e-5)
    labels = tmp_path / "kinds.csv"
    labels.write_text("text,kind\nwhere is my refund,refund\nplease login,other\n")
    assert rg.open("mail", head="kind", store=folder(made)).evaluate(labels)["num_examples"] == 2
    with pytest.raises(RequestError, match="head 'kinds' of mail\nfound: its tasks are kind, score, it has no further head"):
        rg.open("mail", head="kinds", store=folder(made))


def test_two_generations_are_compared_task_by_task(made, table, model):
    other = rg.tune(
        table, model=model, store=folder(made), strategy="linear_probe", name="probe", controls=False, **{**OPTIONS, "epochs": 1.0}
    )
    against = made.evaluate(table, against=other)["against"]
    assert against["metric"] == "task_mean" and {name: row["metric"] for name, row in against["tasks"].items()} == {
        "kind": "accuracy",
        "score": "r2",
    }
    assert "tasks" not in other.document
    single = rg.tune(table, model=model, store=folder(made), strategy="linear_probe", name="single", target="kind", refit=False)
    verdict = rg.open("mail", head="kind", store=folder(made)).evaluate(table, against=single)["against"]
    assert verdict["metric"] == "accuracy" and verdict["difference"]["n"] == 40


def test_the_plan_says_heads_weights_and_controls(table, model, tmp_path):
    plan = rg.plan(table, model=model, store=tmp_path, strategy="full", objective="task_weights(score=cosine(1, 0.1))", **OPTIONS)
    (said,) = [reason for reason in plan.reasons if "heads side by side" in reason]
    assert (
        "kind (text-classification, 2 outputs," in said
        and "score (text-regression, 1 output," in said
        and "task_weights(score='cosine(1, 0.1)') to say" in said
    )
    without = rg.plan(
        table, model=model, store=tmp_path, strategy="full", objective="task_weights(score=cosine(1, 0.1))", controls=False, **OPTIONS
    )
    assert plan.cost["controls_s"] > 2 * plan.cost["train_s"] and without.cost["controls_s"] == 0
    assert json.dumps(plan.data["tasks"]) == '{"kind": "text-classification", "score": "text-regression"}'
    with pytest.raises(PlanError, match=r"sampling=2\.0"):
        rg.plan(table, model=model, store=tmp_path, sampling=2.0, **OPTIONS)


def test_a_plan_is_carried_out_as_it_was_made(table, model, tmp_path):
    plan = rg.plan(table, model=model, store=tmp_path, strategy="linear_probe", sampling=0.0, controls=False, **OPTIONS)
    found = rg.tune(plan, store=tmp_path, name="planned")
    assert found.record.manifest["plan"]["settings"]["sampling"] == 0.0 and found.classes == ("kind", "score")
