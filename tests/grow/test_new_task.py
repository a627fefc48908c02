"""A further head for another task: on the same trunk, with its own figures, beside a control, and without touching what was there."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import pytest

import regraft as rg
from regraft.errors import RequestError
from regraft.grow.memory import Memory
from small import tickets

LABELS = sorted({label for _, label in tickets()})
WORDS = {"new_task": "words", "task": "text-regression", "epochs": 1.0}
QUICK = {"epochs": 1.0, "lr": 1e-3, "batch_size": 8}


@pytest.fixture
def parent(data, model, tmp_path):
    return rg.tune(data, model=model, store=tmp_path / "store", strategy="full", name="mine", refit=False, **QUICK)


@pytest.fixture
def lengths(tmp_path):
    """Another question about other tickets: how many words there are."""
    path = tmp_path / "lengths.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [(text, f"{len(text.split()) + 0.5}") for text, label in tickets() if label in LABELS[3:6]][:60]
        csv.writer(file).writerows([("text", "value"), *rows])
    return path


def test_a_further_head_shares_the_trunk_and_leaves_the_first_alone(parent, lengths):
    before = parent.predict(["where is it"])
    child = rg.grow(parent, lengths, **WORDS)
    assert child.name == "mine.words" and child.record.parent == parent.digest
    assert child.record.manifest["task"] == "text-regression" and "r2" in child.metrics["test"]
    assert child.document["sharing"] == {"shared": ["stem", "blocks.0", "blocks.1"], "own": ["head"]}
    tables = [parent.store.table(one.record) for one in (parent, child)]
    assert {row["holder"] for name, row in tables[1].items() if name.startswith("host.")} <= {row["holder"] for row in tables[0].values()}
    again = rg.open("mine", store=parent.store.location)
    assert again.digest == parent.digest and again.predict(["where is it"]) == before
    assert rg.open("mine", head="words", store=parent.store.location).digest == child.digest


def test_the_control_is_the_same_plan_on_the_pretrained_model(parent, lengths):
    control = rg.grow(parent, lengths, **WORDS).document["control"]
    options = {"model": parent.record.manifest["model"], "store": parent.store.location, "strategy": "linear_probe"}
    alone = rg.tune(lengths, name="alone", task="text-regression", epochs=1.0, **options)
    assert control["metrics"]["test"]["r2"] == alone.metrics["test"]["r2"]
    assert control["verdict"]["metric"] == alone.predictor.task.headline and control["verdict"]["difference"]["n"] > 0
    assert rg.grow(parent, lengths, **{**WORDS, "new_task": "other"}, control=False).document["control"] is None


def test_a_head_with_numbers_of_its_own_leaves_the_trunk_of_the_first(parent, data):
    child = rg.grow(parent, data, new_task="again", strategy="lora(rank=2)", control=False, **QUICK)
    assert child.document["sharing"]["own"] == ["blocks.0", "blocks.1", "head"] and child.document["sharing"]["shared"] == ["stem"]
    mine, theirs = (child.store.table(one.record) for one in (child, parent))
    under = mine["host.encoder.layer.0.attention.self.query.base_layer.weight"]
    assert under == theirs["host.encoder.layer.0.attention.self.query.weight"], "what LoRA stands over is stored once"


def test_a_head_grows_as_any_generation_and_stays_that_head(parent, tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    for path, labels in ((first, LABELS[3:5]), (second, LABELS[5:6])):
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *[row for row in tickets() if row[1] in labels]])
    head = rg.grow(parent, first, new_task="topic", control=False, strategy="statistics(width=40)")
    child = rg.grow(head, second, tolerance=1.0)
    assert child.classes == tuple(LABELS[3:6]) and child.name == "mine.topic"
    assert rg.open("mine", head="topic", store=parent.store.location).digest == child.digest
    assert [probe["of"] for probe in child.document["retention"]] == ["mine.topic"], "the first head's probes are none of its own"
    assert Memory(child.store, child.record).seen.isdisjoint(Memory(parent.store, parent.record).seen)


def test_what_an_ancestor_was_tested_on_is_a_test_of_the_head_too(parent, data, tmp_path):
    tested = Memory(parent.store, parent.record).tested
    child = rg.grow(parent, data, new_task="again", control=False, valid_fraction=0.3, test_fraction=0.0)
    memory = Memory(child.store, child.record)
    assert tested and tested <= memory.tested and not memory.seen & tested


def test_a_fresh_process_answers_by_the_head(parent, lengths):
    child = rg.grow(parent, lengths, **WORDS, control=False)
    code = "import json, sys, regraft as rg; print(json.dumps(rg.open('mine', head='words', store=sys.argv[1]).predict(['where is it'])))"
    done = subprocess.run([sys.executable, "-c", code, parent.store.location], capture_output=True, text=True, timeout=100, check=True)
    assert json.loads(done.stdout) == child.predict(["where is it"])


def test_what_cannot_be_a_further_head_is_refused(parent, lengths, data):
    with pytest.raises(RequestError, match="it has no further head"):
        rg.open("mine", head="words", store=parent.store.location)
    with pytest.raises(RequestError, match="its task is text-classification"):
        rg.grow(parent, lengths, task="text-regression")
    with pytest.raises(RequestError, match="by themselves they are text-regression"):
        rows = [(text, f"{place / 7:.3f}") for place, (text, _) in enumerate(tickets()[:80])]
        numbers = lengths.with_name("numbers.csv")
        with numbers.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "value"), *rows])
        rg.grow(parent, numbers)
    with pytest.raises(RequestError, match="which is for the task that it has"):
        rg.grow(parent, lengths, **WORDS, way="deep")
    rg.grow(parent, lengths, **WORDS, control=False)
    with pytest.raises(RequestError, match="its further heads are words"):
        rg.open("mine", head="word", store=parent.store.location)


def test_all_heads_answer_as_each_does_and_run_the_trunk_once(parent, lengths, data, monkeypatch):
    from regraft.serve.heads import Heads
    from regraft.trunk.trunk import Trunk

    words = rg.grow(parent, lengths, **WORDS, control=False)
    topic = rg.grow(parent, data, new_task="topic", control=False, strategy="statistics(width=40)")
    apart = rg.grow(parent, data, new_task="apart", strategy="lora(rank=2)", control=False, **QUICK)
    texts = ["where is it", "my card, please, and my money", "no"] * 30
    heads = Heads.load(parent.store, "mine")
    assert (set(heads.sharing), set(heads.apart)) == ({"words", "topic"}, {"apart"})
    passes, features = [], Trunk.features
    monkeypatch.setattr(Trunk, "features", lambda trunk, inputs: passes.append(len(next(iter(inputs.values())))) or features(trunk, inputs))
    found = heads.predict(texts)
    assert sum(passes) == 2 * len(texts), "once for the three on the trunk, once for the one with numbers of its own"
    for one in (words, topic, apart):
        name = one.record.manifest["head"]["name"]
        for row, alone in zip(found, one.predict(texts), strict=True):
            assert (
                {"input": row["input"], **row["heads"][name]} == pytest.approx(alone)
                if name == "words"
                else row["heads"][name]["label"] == alone["label"]
            )
    assert [row["label"] for row in found] == [row["label"] for row in parent.predict(texts)]
    assert heads.predict([]) == []


def test_no_head_is_called_all(parent, lengths):
    with pytest.raises(RequestError, match="that word means every head at once"):
        rg.grow(parent, lengths, **{**WORDS, "new_task": "all"})
