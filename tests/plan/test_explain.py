"""The grid as text and the plan as a document."""

from __future__ import annotations

import json

from hypothesis import given
from outlines import outline, plan, quick, texts

from regraft.plan.explain import document, grid

PICTURE = """\
             phase 1: probe (solved)   phase 2: all
head         train 1.00                train 1.00
blocks.2     frozen                    train 0.70
blocks.1     frozen                    train 0.49
blocks.0     frozen                    frozen
stem         frozen                    frozen
---------------------------------------------------
parameters   51                        2,051
cached below head                      blocks.1"""


def squeezed(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if not line.startswith("---")]


def test_the_picture():
    made = plan("freeze(below=blocks.1)+discriminative_lr(decay=0.7)+lp_ft")
    assert squeezed(grid(made, outline(), num_classes=3)) == squeezed(PICTURE)
    assert squeezed(grid(made)) == [row for row in squeezed(PICTURE) if row[0] != "parameters"]


def test_cells_are_named_by_what_moves():
    for text, cell in (
        ("lora(rank=4)", "lora r4 1.00"),
        ("lora(variant=ia3)", "ia3 1.00"),
        ("lora(variant=dora)", "dora r8 1.00"),
        ("adapter(width=8)", "adapter w8 pfeiffer 1.00"),
        ("adapter(width=4, placement=houlsby)", "adapter w4 houlsby 1.00"),
        ("bias_only", "bias 1.00"),
        ("norm_only", "norm 1.00"),
    ):
        assert any(line.startswith("blocks.2") and line.endswith(cell) for line in grid(plan(text)).splitlines())


def test_long_trunks_fold_equal_neighbours():
    lines = grid(plan("top(n=2)", outline(20)), outline(20)).splitlines()
    assert [line.split("  ")[0] for line in lines[1:4]] == ["head", "blocks.18 to blocks.17", "blocks.16 to stem"]


def test_the_last_line_says_why_nothing_is_cached():
    assert grid(plan("full")).endswith("nothing")
    assert grid(plan("top(n=1)", cache=False)).endswith("nothing: the cache is off")
    assert grid(plan("top(n=1)", augment={"crop": 4})).endswith("nothing: random crop below it")
    assert grid(plan("top(n=1)", augment={"crop": 4}, cache_views=3)).endswith("blocks.2 (3 views)")
    assert grid(plan("top(n=1)", augment={"crop": False})).endswith("blocks.2")


def test_what_is_read_only_once_is_said_to_be_trained_live():
    once = plan("top(n=1)", epochs=1)
    assert grid(once).endswith("nothing: it is read only once")
    (phase,) = document(once, outline(), num_classes=3)["phases"]
    assert (phase["cached"], phase["cached_below"]) == (False, "nothing: it is read only once")
    assert grid(plan("top(n=1)", epochs=2)).endswith("blocks.2")
    assert grid(plan("top(n=1)+lp_ft", epochs=1)).endswith("blocks.2"), "the pass that solves the head brings it along"
    assert grid(plan("linear_probe", epochs=1)).endswith("head"), "features of a head that is solved stay for the next run"


def test_random_weights_are_in_the_header():
    assert "from random weights" in grid(plan("scratch")).splitlines()[0]


@quick
@given(text=texts)
def test_the_document_is_json_and_stable(text):
    made = plan(text)
    first = json.dumps(document(made, outline(), num_classes=3))
    assert first == json.dumps(document(made, outline(), num_classes=3))
    assert grid(made) == grid(made)


def test_the_document_holds_the_keys_of_the_design():
    answer = document(plan("top(n=1)+lp_ft", epochs=3).because("few data"), outline(), num_classes=3)
    assert {"task", "model", "strategy", "phases", "reasons", "cost", "schema"} <= set(answer)
    probe, last = answer["phases"]
    assert (probe["epochs"], probe["boundary"], probe["cached"]) == (0.0, "head", True)
    assert (last["name"], last["epochs"], last["boundary"]) == ("all", 3.0, "blocks.2")
    top = last["cells"][-2]
    assert {key: top[key] for key in ("stage", "trainable", "lr_scale", "edit", "parameters")} == {
        "stage": "blocks.2", "trainable": True, "lr_scale": 1.0, "edit": None, "parameters": 1000,
    }  # fmt: skip
    assert [cell["parameters"] for cell in last["cells"]] == [0, 0, 0, 1000, 51]
