"""Every verb that can print JSON has its schema, and what it prints fits."""

from __future__ import annotations

from lineage.making import tuned
from regraft.cli.__main__ import VERBS
from regraft.lineage import Store

from .test_verbs import QUICK, SCHEMAS, parsed

WITHOUT = {"demo", "show", "report"}
"""Whose document is that of another verb, the manifest itself, or a path."""


def test_every_verb_has_a_schema():
    assert {verb for verb in VERBS if not (SCHEMAS / f"{verb}.json").exists()} <= WITHOUT | {"distill"}


def test_documents_of_the_lineage_fit_their_schemas(regraft, tmp_path):
    store = Store(tmp_path / "store")
    for number, (name, parents) in enumerate({"first": [], "second": ["first"]}.items()):
        tuned(store, float(number), name=name, parent=parents)
    assert parsed(regraft("tag", "first", "good", "--json"))["tag"] == "good"
    assert parsed(regraft("gc", "--json"))["dry_run"]
    assert parsed(regraft("export", "second", str(tmp_path / "it.zip"), "--json"))["kind"] == "bundle"
    assert parsed(regraft("import", str(tmp_path / "it.zip"), "--store", str(tmp_path / "other"), "--json"))["ancestors"] == 1
    tuned(store, 3.0, name="first", parent=["first"])
    assert parsed(regraft("rollback", "first", "--json"))["name"] == "first"


def test_documents_of_models_fit_their_schemas(regraft, data, model, tmp_path):
    for name, seed in (("a", "0"), ("b", "1")):
        parsed(regraft("tune", str(data), "--model", model, *QUICK, "--seed", seed, "--name", name, "--json"))
    merge = parsed(regraft("merge", "a", "b", "--method", "uniform", "--accept-forgetting", "only the form counts here", "--json"))
    assert [parent["name"] for parent in merge["merge"]["parents"]] == ["a", "b"]
    assert parsed(regraft("diff", "a", "b", "--json"))["drift"]
    written = parsed(regraft("export", "a", str(tmp_path / "out"), "--to", "hf", "--json"))
    assert written["verified"]["num_inputs"] == 3 and "sentence_transformers" in written["load"]
    code, out, err = regraft("export", "a", str(tmp_path / "again"), "--to", "hf")
    assert code == 0 and "equal on 3 inputs" in out, err
