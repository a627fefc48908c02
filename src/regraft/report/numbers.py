"""Numbers for people: sizes, times, rates, intervals. What is missing or not a number becomes a dash."""

from __future__ import annotations

import math
from typing import Any

DASH = "–"
UNITS = ("B", "kB", "MB", "GB", "TB")


def number(value: Any) -> float | None:
    """``value`` as a finite number, or ``None``; a metric (an object with ``value``) gives its value."""
    if isinstance(value, dict):
        value = value.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def rate(value: Any, digits: int = 3) -> str:
    found = number(value)
    return DASH if found is None else f"{found:.{digits}f}"


def percent(value: Any) -> str:
    found = number(value)
    return DASH if found is None else f"{100 * found:.1f}%"


def interval(metric: Any) -> str:
    """``[low, high]`` of a metric, or nothing."""
    if not isinstance(metric, dict):
        return ""
    low, high = number(metric.get("low")), number(metric.get("high"))
    return "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def count(value: Any) -> str:
    found = number(value)
    return DASH if found is None else f"{found:,.0f}".replace(",", "\u202f")


def size(value: Any) -> str:
    """Bytes."""
    found = number(value)
    if found is None:
        return DASH
    power = 0
    while abs(found) >= 1000 and power < len(UNITS) - 1:
        found, power = found / 1000, power + 1
    return f"{found:.3g} {UNITS[power]}" if power else f"{found:.0f} B"


def seconds(value: Any) -> str:
    found = number(value)
    if found is None:
        return DASH
    if found < 1:
        return f"{1000 * found:.0f} ms"
    if found < 60:
        return f"{found:.1f} s"
    minutes, rest = divmod(round(found), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def short(value: Any) -> str:
    """A rate or scale in as few signs as it needs: 1, 0.49, 3e-05."""
    found = number(value)
    return DASH if found is None else f"{found:.3g}"


def quantity(key: str, value: Any) -> str:
    """A value in the unit that its key names (``_s``, ``_bytes``, ``_fraction``, counts)."""
    found = number(value)
    if found is None:
        return DASH if value is None else str(value)
    if key.endswith(("_bytes", ".bytes")):
        return size(found)
    if key.endswith("_s"):
        return seconds(found)
    if key.endswith("_fraction"):
        return percent(found)
    return count(found) if found == int(found) and abs(found) >= 1 else short(found)


def words(key: str) -> str:
    """A key as a label: ``peak_memory_bytes`` is "peak memory"."""
    for unit in ("_bytes", ".bytes", "_s", "_fraction"):
        key = key.removesuffix(unit)
    return key.replace("_", " ").replace(".", " · ")


def clipped(text: Any, length: int) -> str:
    """At most ``length`` characters, with a sign where something was left out."""
    found = str(text)
    return found if len(found) <= length else found[: length - 1].rstrip() + "…"


def moment(value: Any) -> str:
    """An ISO time to the second: ``2026-11-21 18:40:00 UTC``."""
    text = str(value or "")
    return text[:19].replace("T", " ") + (" UTC" if text.endswith(("+00:00", "Z")) else "")
