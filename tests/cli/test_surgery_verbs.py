"""``regraft edit`` and ``regraft distill`` as a person types them."""

from __future__ import annotations

import json

from .test_verbs import QUICK, parsed


def test_edit_undo_and_distill(regraft, data, model):
    regraft("tune", str(data), "--model", model, *QUICK, "--name", "first")
    edit = parsed(regraft("edit", "first", "drop(blocks.1)", "--name", "small", "--json"))
    assert edit["name"] == "small" and edit["surgery"]["stages"]["after"] == ["stem", "blocks.0", "head"]
    healed = parsed(regraft("edit", "first", "drop(blocks.0)", "--heal", str(data), "--set", "epochs=1", "--set", "lr=0.001", "--json"))
    assert healed["name"] == "first-edit" and healed["surgery"]["edited"]["test"]["accuracy"]["n"] > 0
    back = parsed(regraft("edit", "small", "--undo", "--json"))
    first = parsed(regraft("predict", "first", "where is it", "--json"))["predictions"]
    assert parsed(regraft("predict", "small", "where is it", "--json"))["predictions"] == first
    assert back["parent"] == edit["digest"]
    student = parsed(regraft("distill", "first", str(data), "--model", f"{model}+drop(1)", "--epochs", "1", "--name", "pupil", "--json"))
    assert student["name"] == "pupil" and "teacher=" in student["plan"]["objective"]


def test_people_get_a_table_of_before_and_after(regraft, data, model):
    regraft("tune", str(data), "--model", model, *QUICK, "--name", "first")
    code, out, _ = regraft("edit", "first", "prune(heads, amount=0.5)+replace(activation=relu, at=blocks.0)")
    assert code == 0
    assert "- prune 50% of the heads in blocks.0" in out and "before" in out and "the edit on test:" in out


def test_what_is_wrong_is_answered_with_what_to_type(regraft, data, model):
    assert "nothing to do is named" in regraft("edit", "first")[2]
    assert "surgery and --undo at once" in regraft("edit", "first", "drop(1)", "--undo")[2]
    code, out, _ = regraft("distill", "first", str(data), "--json")
    assert code == 2 and "into which model" in json.loads(out)["error"]["found"]
