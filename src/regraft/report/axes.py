"""The frame of a small chart: scales, ticks and grid lines as SVG. Colours come from the page's style sheet, so that dark mode holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from regraft.report.markup import Html, el
from regraft.report.numbers import short

Point = tuple[float, float]
LEFT, RIGHT, TOP, BOTTOM = 44.0, 10.0, 10.0, 26.0


@dataclass(frozen=True, slots=True)
class Axes:
    """A chart of ``width`` by ``height`` units whose data lie between (x0, y0) and (x1, y1)."""

    x0: float
    x1: float
    y0: float
    y1: float
    width: float = 340.0
    height: float = 210.0

    @classmethod
    def around(cls, points: Sequence[Point], *, zero: bool = False, ceiling: float | None = None) -> Axes:
        """Axes that hold the points with a little air; ``zero``: the y axis begins at 0; ``ceiling``: y values never exceed it."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        low, high = (0.0 if zero else min(ys)), max(ys)
        air = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
        top = high + air if ceiling is None else min(high + air, ceiling)
        return cls(min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1, low if zero else low - air, top if top > low else low + air)

    def x(self, value: float) -> float:
        return LEFT + (value - self.x0) / (self.x1 - self.x0) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return self.height - BOTTOM - (value - self.y0) / (self.y1 - self.y0) * (self.height - TOP - BOTTOM)

    def line(self, points: Iterable[Point], class_: str) -> Html:
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return el("polyline", points=path, class_=class_)

    def dot(self, point: Point, class_: str) -> Html:
        return el("circle", cx=round(self.x(point[0]), 1), cy=round(self.y(point[1]), 1), r=2.6, class_=class_)

    def frame(self, x_label: str) -> list[Html]:
        """Grid lines and tick labels of both axes."""
        floor, right = self.height - BOTTOM, self.width - RIGHT
        parts = []
        for value in ticks(self.y0, self.y1, 4):
            y = round(self.y(value), 1)
            parts.append(el("line", x1=LEFT, x2=right, y1=y, y2=y, class_="rule"))
            parts.append(el("text", short(value), x=LEFT - 6, y=y + 3.5, text_anchor="end"))
        for value in ticks(self.x0, self.x1, 5):
            parts.append(el("text", short_count(value), x=round(self.x(value), 1), y=floor + 14, text_anchor="middle"))
        parts.append(el("line", x1=LEFT, x2=right, y1=floor, y2=floor, class_="axis"))
        parts.append(el("text", x_label, x=right, y=self.height - 1, text_anchor="end", class_="unit"))
        return parts

    def svg(self, *parts: Html | list[Html] | None, title: str) -> Html:
        return el("svg", el("title", title), *parts, viewBox=f"0 0 {self.width:g} {self.height:g}", role="img")


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers between ``low`` and ``high``, about so many."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    raw = span / about
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = magnitude * next(m for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    found = [round(i * step, 12) for i in range(first, first + 3 * about) if i * step <= high + step * 1e-9]
    return found or [low]


def short_count(value: float) -> str:
    """Steps: 800, 12k."""
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:g}"


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most about ``most`` points: means of equal runs, the last point kept."""
    if len(points) <= most:
        return list(points)
    width = math.ceil(len(points) / most)
    runs = [points[i : i + width] for i in range(0, len(points), width)]
    return [(run[-1][0], sum(y for _, y in run) / len(run)) for run in runs]


def smoothed(points: Sequence[Point]) -> list[Point]:
    """A centred running mean over a fifteenth of the points, so that it does not lag; at the ends over those that there are."""
    half = len(points) // 30
    windows = [points[max(0, i - half) : i + half + 1] for i in range(len(points))]
    return [(x, sum(y for _, y in window) / len(window)) for (x, _), window in zip(points, windows, strict=True)]
