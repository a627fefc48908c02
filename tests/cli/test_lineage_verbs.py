"""The verbs of the lineage on a store made by hand: they read no weights, and import no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cli.test_verbs import parsed
from lineage.making import manifest, model, tuned
from regraft.evaluate.stored import packed
from regraft.lineage import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """first <- second, and a merge of second and third."""
    store = Store(tmp_path / "store")
    for number, (name, parents) in enumerate({"first": [], "second": ["first"], "third": ["first"], "merged": ["second", "third"]}.items()):
        tuned(store, float(number), name=name, parent=parents)
    return store


def test_the_log_is_drawn_as_a_graph(regraft, store):
    store.tag("second", "production")
    code, out, _ = regraft("log")
    assert code == 0
    lines = [line.split()[:2] for line in out.splitlines()[2:]]
    assert [words[0] for words in lines] == ["●─╮", "│", "●", "○─╯"]
    assert "merged*" in out and "production" in out
    rows = parsed(regraft("log", "--json"))["generations"]
    assert [len(row["parents"]) for row in rows] == [2, 1, 1, 0]


def test_gc_lists_first_and_removes_when_told(regraft, store, monkeypatch):
    monkeypatch.setattr(Store.gc, "__kwdefaults__", {**Store.gc.__kwdefaults__, "grace_s": -1})
    gone = store.get("merged").digest
    _, out, _ = regraft("gc", "--forget", "merged")
    assert f"generations/{gone}.json" in out and "regraft gc --yes removes them" in out and gone in store.digests()
    _, out, _ = regraft("gc", "--forget", "merged", "--yes")
    assert out.splitlines()[-1].startswith("removed ") and gone not in store.digests()
    assert regraft("gc")[1].startswith("nothing to remove; ")
    assert parsed(regraft("gc", "--json"))["freed_bytes"] == 0
    assert regraft("gc", "--forget", "nobody")[0] == 2


def test_a_bundle_goes_from_one_store_to_another(regraft, store, tmp_path):
    wrote = parsed(regraft("export", "merged", str(tmp_path / "it.zip"), "--json"))
    assert Path(wrote["path"]).stat().st_size > wrote["bytes"] > 0
    other = str(tmp_path / "other")
    taken = parsed(regraft("import", str(tmp_path / "it.zip"), "--store", other, "--json"))
    assert (taken["digest"], taken["ancestors"]) == (store.get("merged").digest, 3)
    code, out, _ = regraft("import", str(tmp_path / "it.zip"), "--name", "theirs", "--store", other)
    assert code == 0 and out.startswith("theirs -> ")
    assert regraft("export", "merged", str(tmp_path / "it.zip"))[0] == 2


def test_diff_without_drift_reads_manifests_alone(regraft, tmp_path):
    store = Store(tmp_path / "store")
    targets = np.array([0, 1] * 30)
    plan = {"task": "text-classification", "model": "m", "strategy": "full", "stages": ["stem", "head"], "phases": [], "settings": {}}
    for name, strategy, right in (("a", "full", 30), ("b", "lora", 60)):
        calls = np.where(np.arange(60) < right, targets, 1 - targets)
        answers = packed(np.eye(2, dtype=np.float32)[calls], [f"{n:064x}"[::-1] for n in range(60)], targets)
        facts = {
            "plan": {**plan, "strategy": strategy, "settings": {"epochs": float(right)}},
            "edits": [],
            "data": {"fingerprint": name * 64, "reference": f"{name}.csv"},
        }
        store.add(manifest(**facts, classes=["x", "y"]), model(right), assets=answers, name=name)
    document = parsed(regraft("diff", "a", "b", "--no-drift", "--json"))
    assert document["plan"]["strategy"] == ["full", "lora"] and document["plan"]["settings"] == {"epochs": [30.0, 60.0]}
    assert document["verdict"]["verdict"] == "better" and document["verdict"]["wins"] == 30 and document["drift"] is None
    assert document["tensors"] == {"equal": 3, "changed": 1, "added": 0, "removed": 0}
    out = regraft("diff", "a", "b", "--no-drift")[1]
    assert "strategy  full -> lora" in out and "b against a: better" in out and "a.csv" in out


@pytest.mark.parametrize(
    "words", [["log"], ["gc"], ["show", "first", "--json"], ["export", "first", "{folder}/x.zip"], ["tag", "first", "t"]]
)
def test_history_is_read_without_torch(store, words, tmp_path):
    code = (
        "import sys, json; sys.argv = ['regraft', *json.loads(sys.argv[1])]\n"
        "from regraft.cli.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.stderr.write('loaded: ' + ' '.join(sorted({'torch', 'transformers', 'numpy', 'sklearn', 'pandas'} & set(sys.modules))))"
    )
    arguments = [word.format(folder=tmp_path) for word in words] + ["--store", store.location]
    done = subprocess.run([sys.executable, "-c", code, json.dumps(arguments)], capture_output=True, text=True, timeout=100)
    assert done.stderr.endswith("loaded: "), done.stderr
