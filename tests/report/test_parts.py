from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft import report
from regraft.plan import cell as plan_cell
from regraft.plan.phase import Phase
from regraft.plan.plan import Plan
from regraft.report import axes, errors, grid, numbers, reading
from regraft.report.markup import Html, el, join
from report.sample import STAGES, cell, document, plan


def table_of(document_) -> list[list[str]]:
    """The grid's body as (stage, cell, cell, ...), from the top down."""
    page = grid.section(document_)
    body = re.search(r"<tbody>(.*)</tbody>", page)[1]
    return [
        [re.sub(r"<[^>]+>", "", part) for part in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", body)
    ]


def test_the_grid_has_the_head_on_top_and_a_line_under_what_moves():
    page = grid.section({"plan": plan()})
    found = table_of({"plan": plan()})
    assert [row[0] for row in found] == ["head", *reversed(STAGES)]
    assert found[0][1:4] == ["× 1", "× 1", "× 1"] and found[1][1:4] == ["frozen", "× 0.7", "dora 8"]
    edges = [(found[i][0], j) for i, row in enumerate(re.findall(r"<tr>(.*?)</tr>", re.search(r"<tbody>(.*)</tbody>", page)[1]))
             for j, part in enumerate(re.findall(r"<td([^>]*)>", row)) if "edge" in part]  # fmt: skip
    assert edges == [("head", 0), ("blocks.3", 1)]
    assert "solved in closed form" in page and "below blocks.3" in page and "below head" in page


def test_the_grid_is_drawn_from_the_plan_itself_too():
    frozen, train = plan_cell.FROZEN, plan_cell.TRAIN
    phases = (
        Phase(name="probe", cells=(frozen, frozen, train), epochs_fraction=0.4),
        Phase(name="all", cells=(train, train, train), epochs_fraction=0.6),
    )
    made = Plan(task="t", model="m", strategy="s", stages=("stem", "block", "head"), phases=phases)
    page = grid.section({"plan": made.json()})
    assert [row[0] for row in table_of({"plan": made.json()})] == ["head", "block", "stem"]
    assert "2 epochs" in page and "3 epochs" in page and "below head" in page


def test_a_very_deep_trunk_shares_rows_between_equal_stages():
    cells = [cell(f"blocks.{i}", i >= 40) for i in range(48)]
    found = table_of({"plan": {"phases": [{"name": "top", "cells": [*cells, cell("head", True)]}]}})
    assert [row[0] for row in found] == ["blocks.40 … head", "blocks.0 … blocks.39"]


def test_unknown_kinds_of_edits_are_still_named():
    edits = [
        {"kind": "lora", "rank": 4},
        {"kind": "lora", "rank": 8, "variant": "ia3"},
        {"kind": "adapter", "width": 64, "placement": "houlsby"},
        {"kind": "prompt"},
    ]
    cells = [cell(str(i), True, edit=edit) for i, edit in enumerate(edits)]
    found = table_of({"plan": {"phases": [{"cells": cells}]}})
    assert [row[1] for row in reversed(found)] == ["lora 4", "ia3", "adapter 64 houlsby", "prompt"]


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 8))
def test_ticks_are_few_ascending_and_inside(low, span, about):
    high = low + span
    if not high > low:
        return
    found = axes.ticks(low, high, about)
    assert 1 <= len(found) <= 3 * about and found == sorted(found)
    slack = span * 1e-3 + abs(low) * 1e-9
    assert all(low - slack <= value <= high + slack for value in found)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=50))
def test_every_point_of_a_chart_lies_inside_its_frame(points):
    frame = axes.Axes.around(points)
    for x, y in points:
        assert axes.LEFT - 0.1 <= frame.x(x) <= frame.width - axes.RIGHT + 0.1
        assert axes.TOP - 0.1 <= frame.y(y) <= frame.height - axes.BOTTOM + 0.1


def test_thinning_keeps_the_mean_and_the_end():
    points = [(float(i), float(i % 7)) for i in range(7000)]
    thin = axes.thinned(points, 100)
    assert len(thin) <= 100 and thin[-1][0] == points[-1][0]
    assert sum(y for _, y in thin) / len(thin) == pytest.approx(3.0, abs=0.1)


def test_smoothing_keeps_a_constant_and_does_not_lag():
    assert axes.smoothed([(0.0, 5.0), (1.0, 5.0), (2.0, 5.0)]) == [(0.0, 5.0), (1.0, 5.0), (2.0, 5.0)]
    assert axes.smoothed([(float(i), 2.0 * i) for i in range(100)])[3:-3] == [(float(i), 2.0 * i) for i in range(3, 97)]


def test_steps_that_begin_again_in_each_phase_are_put_end_to_end():
    rows = [{"step": s, "phase": p} for p in (0, 1) for s in (1, 2, 3)]
    found = reading.history({"history": rows, "plan": {"phases": [{"name": "probe"}, {"name": "all"}]}})
    assert [(row["step"], row["phase"]) for row in found] == [(1, "probe"), (2, "probe"), (3, "probe"), (4, "all"), (5, "all"), (6, "all")]


@pytest.mark.parametrize(("key", "value", "text"), [
    ("time_s", 0.25, "250 ms"), ("time_s", 59.94, "59.9 s"), ("time_s", 61, "1 min 01 s"), ("time_s", 7260, "2 h 01 min"),
    ("peak_memory_bytes", 1.42e9, "1.42 GB"), ("stored_bytes", 999, "999 B"), ("stored_bytes", 0, "0 B"), ("parameters", 22713728, "22\u202f713\u202f728"),
    ("valid_fraction", 0.1, "10.0%"), ("lr", 3e-5, "3e-05"), ("time_s", None, "–"), ("time_s", math.inf, "inf"), ("kind", "bf16", "bf16"),
])  # fmt: skip
def test_quantities_are_written_in_the_unit_of_their_key(key, value, text):
    assert numbers.quantity(key, value) == text


def test_text_is_escaped_and_markup_is_not():
    assert el("td", "a < b", [Html("<b>c</b>"), None, 3], class_="x", data_name='"&', hidden=True, title=None) == (
        '<td class="x" data-name="&quot;&amp;" hidden>a &lt; b<b>c</b>3</td>'
    )
    assert join("<", el("br")) == "&lt;<br/>"


def test_the_verdict_speaks_of_the_best_that_was_measured():
    assert reading.verdict({"metrics": {"valid": {"macro_f1": 0.5}}}) == "Macro f1 0.500 on validation examples."
    assert reading.verdict({"metrics": {"valid": {"accuracy": {"value": 0.5, "n": 4}}}}) == "Right on 50.0% of 4 validation examples."


def test_the_card_holds_the_numbers_and_escapes_the_names():
    text = report.card({**document(), "model": "timm:resnet10t.c3_in1k", "name": "a|b*c <i>"})
    assert 'base_model: "timm/resnet10t.c3_in1k"' in text
    assert "# a\\|b\\*c &lt;i&gt;" in text
    assert "| accuracy | 0.920 [0.898, 0.942] | 0.912 [0.896, 0.928] |" in text
    assert "&lt;b&gt;bug&lt;/b&gt; & crash" in text
    assert "```\nregraft tune tickets.csv" in text
    assert "- time: 2 min 21 s" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, 6)


def test_the_report_is_made_without_heavy_imports():
    import subprocess
    import sys

    code = "import sys; from regraft import report; report.html({}); report.card({}); print([m for m in ('torch', 'numpy', 'sklearn') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_what_is_frozen_is_said_not_to_have_moved():
    text = re.sub(r"<[^>]+>", " ", report.html({"drift": {"stem": 0.0, "head": 0.5}, "events": ["halved the batch"]}))
    assert re.search(r"head\s+0.5\s+stem\s+not one bit", text) and "halved the batch" in text


def test_the_grid_says_why_nothing_is_cached():
    phase = {
        "cached": False,
        "cached_below": "nothing: random crop",
        "boundary": "head",
        "cells": [cell("stem", False), cell("head", True)],
    }
    assert "nothing: random crop" in grid.section({"plan": {"phases": [phase]}})


def test_colours_of_masks_are_named_and_nothing_else_comes_through_them():
    row = {"input": "a.jpg", "label": "a", "predicted": "b", "colours": {"<road>": "#80ff00", "sky": "red;} body {display:none"}}
    drawn = str(errors.section({"errors": [row]}, 1000))
    assert '<i style="background:#80ff00"></i>&lt;road&gt;' in drawn and "display:none" not in drawn
