"""The grid of a plan: stages by phases, the head on top, a line under what moves, and below it what was computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regraft.report.markup import Html, el, join
from regraft.report.numbers import count, number, short
from regraft.report.reading import Document, mapping, rows

Cell = dict[str, Any]
MOST_ROWS = 28
LEVELS = (0.8, 0.45, 0.2, 0.05)
"""Learning-rate scales at which a cell gets the next lighter shade."""


def section(document: Document) -> Html | None:
    plan = mapping(document, "plan")
    phases = rows(plan, "phases")
    columns = [rows(phase, "cells") for phase in phases]
    stages = _stages(plan, columns)
    if not stages or not columns:
        return None
    boundaries = [_boundary(phase, cells, stages) for phase, cells in zip(phases, columns, strict=True)]
    corner = el("th", "stage", scope="col")
    head = el(
        "tr", corner, [el("th", _phase_head(n, phase, plan), scope="col") for n, phase in enumerate(phases, 1)], _parameter_head(columns)
    )
    runs = _runs(stages, columns, boundaries)
    body = [_row(stages, columns, boundaries, run) for run in reversed(runs)]
    foot = el("tr", el("th", "cached", scope="row"), [el("td", text, class_="once") for text in _cached(phases, boundaries, stages)])
    table = el("table", el("thead", head), el("tbody", body), el("tfoot", foot), class_="grid")
    return join(el("div", table, class_="wide"), _legend())


def _stages(plan: dict[str, Any], columns: list[list[Cell]]) -> list[str]:
    longest = max(columns, key=len, default=[])
    given = plan.get("stages") if isinstance(plan.get("stages"), list) else []
    names = [str(name) for name in given or []]
    return [str(cell.get("stage", names[i] if i < len(names) else i)) for i, cell in enumerate(longest)]


def _boundary(phase: dict[str, Any], cells: list[Cell], stages: list[str]) -> int:
    """Index of the first stage that moves. The plan may say it as an index or a name; else the cells do."""
    given = phase.get("boundary")
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    if given in stages:
        return stages.index(given)
    return next((i for i, cell in enumerate(cells) if cell.get("trainable") or cell.get("edit")), len(cells))


def _runs(stages: Sequence[str], columns: list[list[Cell]], boundaries: list[int]) -> list[range]:
    """The rows to draw, from the door up: one for each stage; in a very deep trunk equal neighbours share one."""
    if len(stages) <= MOST_ROWS:
        return [range(i, i + 1) for i in range(len(stages))]
    runs: list[range] = []
    for i in range(len(stages)):
        alike = runs and i not in boundaries and _looks(columns, i) == _looks(columns, runs[-1].start)
        if alike:
            runs[-1] = range(runs[-1].start, i + 1)
        else:
            runs.append(range(i, i + 1))
    return runs


def _looks(columns: list[list[Cell]], index: int) -> list[tuple[Any, ...]]:
    cells = [cells[index] if index < len(cells) else {} for cells in columns]
    return [(c.get("trainable"), c.get("lr_scale") if c.get("trainable") else None, str(c.get("edit")), c.get("only")) for c in cells]


def _row(stages: list[str], columns: list[list[Cell]], boundaries: list[int], run: range) -> Html:
    name = stages[run.start] if len(run) == 1 else f"{stages[run.start]} … {stages[run.stop - 1]}"
    cells = [
        _cell(cells[run.start] if run.start < len(cells) else {}, edge=0 < boundary == run.start)
        for cells, boundary in zip(columns, boundaries, strict=True)
    ]
    sizes = [_size(columns[-1][i]) for i in run if i < len(columns[-1])]
    total = el("td", count(sum(n or 0 for n in sizes)), class_="number") if any(n is not None for n in sizes) else None
    return el("tr", el("th", name, scope="row"), cells, total)


def _cell(cell: Cell, *, edge: bool) -> Html:
    edit = cell.get("edit") if isinstance(cell.get("edit"), dict) else None
    trains, scale, only = bool(cell.get("trainable")), number(cell.get("lr_scale")), cell.get("only")
    if edit:
        return el("td", _edit_name(edit), class_=_classes("edited" if trains else "edited still", edge), title="an edit stands here")
    if not trains:
        return el("td", "frozen", class_=_classes("frozen", edge))
    level = sum((scale if scale is not None else 1.0) < bound for bound in LEVELS)
    what = el("small", f" {only}") if only in ("bias", "norm") else None
    return el("td", f"× {short(scale if scale is not None else 1.0)}", what, class_=_classes(f"train t{level}", edge))


def _size(cell: Cell) -> float | None:
    """Parameters of the stage; of the plan document's two counts the one of all that stands there, not of what moves."""
    return number(cell.get("stage_parameters", cell.get("parameters")))


def _classes(kind: str, edge: bool) -> str:
    return f"{kind} edge" if edge else kind


def _edit_name(edit: dict[str, Any]) -> str:
    kind = str(edit.get("kind", "edit"))
    variant = str(edit.get("variant") or "plain")
    shown = kind if variant == "plain" else variant
    measure = edit.get("rank") if "rank" in edit and variant != "ia3" else edit.get("width")
    return " ".join(str(part) for part in (shown, measure, edit.get("placement")) if part is not None)


def _phase_head(number_: int, phase: dict[str, Any], plan: dict[str, Any]) -> Html:
    epochs = number(phase.get("epochs"))
    if epochs is None and (share := number(phase.get("epochs_fraction"))) is not None:
        total = number(mapping(plan, "settings").get("epochs"))
        epochs = share * total if total is not None else None
    closed = phase.get("solver") == "closed_form"
    duration = "solved in closed form" if closed else f"{short(epochs)} epochs" if epochs is not None else None
    scale = number(phase.get("lr_scale"))
    rate = f" · rate × {short(scale)}" if scale not in (None, 1.0) and not closed else None
    fresh = " · from random weights" if phase.get("fresh") else None
    return join(el("b", f"{number_} · {phase.get('name', 'phase')}"), el("small", duration, rate, fresh))


def _parameter_head(columns: list[list[Cell]]) -> Html | None:
    known = any(_size(cell) is not None for cell in columns[-1])
    return el("th", "parameters", class_="number", scope="col") if known else None


def _cached(phases: list[dict[str, Any]], boundaries: list[int], stages: list[str]) -> list[str]:
    """What each phase reads from the cache: as the plan says it, else what its frozen prefix allows."""
    found = []
    for phase, boundary in zip(phases, boundaries, strict=True):
        said = next((phase[key] for key in ("cached_below", "cached") if isinstance(phase.get(key), str)), None)
        if said and said.startswith("nothing"):
            found.append(said)
        elif phase.get("cached") is False or boundary <= 0:
            found.append("nothing")
        else:
            found.append(f"below {said or (stages[boundary] if boundary < len(stages) else 'everything')}")
    return found


def _legend() -> Html:
    signs = [
        ("train t0", "trains, × its learning-rate scale"),
        ("frozen", "frozen: not one bit moves"),
        ("edited", "an edit is trained here"),
    ]
    keys = [el("span", el("i", class_=class_), text) for class_, text in signs]
    return el("p", keys, el("span", el("i", class_="line"), "boundary: everything under the line is frozen"), class_="legend")
