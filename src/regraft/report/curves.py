"""Training curves: loss, the validation metric and the learning rate over steps, phases marked."""

from __future__ import annotations

from typing import Any

from regraft.report.axes import BOTTOM, TOP, Axes, Point, smoothed, thinned
from regraft.report.markup import Html, el
from regraft.report.numbers import number, rate, short
from regraft.report.reading import Document, history
from regraft.spec import LOWER_IS_BETTER, METRICS

MOST_POINTS = 300
NOISY = 40
LOSS = "log_loss"


def section(document: Document) -> Html | None:
    steps = history(document)
    charts = [chart for chart in (_loss(steps), _metric(steps), _lr(steps)) if chart]
    return el("div", charts, class_="charts") if charts else None


def _points(steps: list[dict[str, Any]], key: str, within: str | None = None) -> list[Point]:
    found = []
    for row in steps:
        holder = row.get(within) if within else row
        value = number(holder.get(key)) if isinstance(holder, dict) else None
        if value is not None:
            found.append((number(row["step"]) or 0.0, value))
    return found


def _loss(steps: list[dict[str, Any]]) -> Html | None:
    train, valid = thinned(_points(steps, "loss"), MOST_POINTS), _points(steps, LOSS, "valid")
    if not train:
        return None
    axes = Axes.around([*train, *valid])
    lines = (
        [axes.line(train, "curve faint"), axes.line(smoothed(train), "curve first")]
        if len(train) > NOISY
        else [axes.line(train, "curve first")]
    )
    if valid:
        lines += [axes.line(thinned(valid, MOST_POINTS), "curve second"), axes.dot(min(valid, key=lambda point: point[1]), "second")]
    keys = [("first", "train"), *([("second", "valid")] if valid else [])]
    return _figure(axes, [*_phases(axes, steps), *lines], "Loss", keys, f"{short(train[0][1])} → {short(smoothed(train)[-1][1])}")


def _metric(steps: list[dict[str, Any]]) -> Html | None:
    names = {name for row in steps if isinstance(row.get("valid"), dict) for name in row["valid"]}
    name = next((name for name in METRICS if name in names and name != LOSS), None)
    points = _points(steps, name, "valid") if name else []
    if not name or not points:
        return None
    axes = Axes.around(points, ceiling=1.0 if max(y for _, y in points) <= 1 else None)
    best = (min if name in LOWER_IS_BETTER else max)(points, key=lambda point: point[1])
    lines = [
        axes.line(thinned(points, MOST_POINTS), "curve second"),
        *(axes.dot(p, "second small") for p in points if len(points) <= NOISY),
    ]
    parts = [*_phases(axes, steps), *lines, axes.dot(best, "best")]
    return _figure(axes, parts, f"Valid {name.replace('_', ' ')}", [], f"best {rate(best[1])} at step {best[0]:.0f}")


def _lr(steps: list[dict[str, Any]]) -> Html | None:
    points = thinned(_points(steps, "lr"), MOST_POINTS)
    if len(points) < 2:
        return None
    axes = Axes.around(points, zero=True)
    return _figure(
        axes, [*_phases(axes, steps), axes.line(points, "curve third")], "Learning rate", [], f"up to {short(max(y for _, y in points))}"
    )


def _phases(axes: Axes, steps: list[dict[str, Any]]) -> list[Html]:
    """A thin line where each later phase begins, with its name."""
    parts, before = [], None
    for row in steps:
        phase = row.get("phase")
        if phase != before and before is not None:
            x = round(axes.x(number(row["step"]) or 0.0), 1)
            parts.append(el("line", x1=x, x2=x, y1=TOP, y2=axes.height - BOTTOM, class_="phase"))
            parts.append(el("text", str(phase), x=x + 3, y=TOP + 8, class_="unit"))
        before = phase
    return parts


def _figure(axes: Axes, parts: list[Html], title: str, keys: list[tuple[str, str]], note: str) -> Html:
    legend = [el("span", el("i", class_=class_), text, class_="key") for class_, text in keys]
    caption = el("figcaption", el("b", title), legend, el("span", note, class_="note"))
    return el("figure", caption, axes.svg(axes.frame("steps"), *parts, title=f"{title}: {note}"))
