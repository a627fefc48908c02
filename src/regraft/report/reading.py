"""The document, read with patience: every key may be missing, and a few have two accepted forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from regraft.report.numbers import number
from regraft.spec import METRICS, SPLITS

Document = Mapping[str, Any]


def mapping(document: Document, key: str) -> dict[str, Any]:
    value = document.get(key)
    return dict(value) if isinstance(value, Mapping) else {}


def rows(document: Document, key: str) -> list[dict[str, Any]]:
    """The objects in a list; anything else in it is passed over."""
    value = document.get(key)
    return [dict(row) for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []


def texts(document: Document, key: str) -> list[str]:
    value = document.get(key)
    return [str(text) for text in value] if isinstance(value, list | tuple) else []


def splits_measured(document: Document) -> dict[str, dict[str, Any]]:
    """Split -> metric name -> metric, in the order train, valid, test."""
    metrics = mapping(document, "metrics")
    if metrics and not any(isinstance(value, Mapping) and "value" not in value for value in metrics.values()):
        return {"test": metrics}  # the ``evaluate`` document: metrics of one split
    order = [*(s for s in SPLITS if s in metrics), *sorted(s for s in metrics if s not in SPLITS)]
    return {split: mapping(metrics, split) for split in order if mapping(metrics, split)}


def headline(document: Document) -> tuple[str, str, dict[str, Any]] | None:
    """(split, metric name, metric) that says most: test before valid; of the metrics the task's own, else accuracy before the rest."""
    measured, own = splits_measured(document), document.get("headline")
    for split in ("test", "valid", *measured):
        for name in (*([own] if isinstance(own, str) else []), *METRICS):
            metric = measured.get(split, {}).get(name)
            if number(metric) is not None:
                return split, name, metric if isinstance(metric, dict) else {"value": metric}
    return None


def per_class(document: Document) -> list[dict[str, Any]]:
    """``{class, precision, recall, f1, n}`` for each class."""
    return [{**row, "class": str(row.get("class", "")), "n": row.get("n", row.get("support"))} for row in rows(document, "per_class")]


def confusion(document: Document) -> tuple[list[str], list[list[int]]]:
    """Class names and the square matrix of counts: rows are true labels. Both empty where there is none."""
    value = document.get("confusion")
    names: list[Any] = []
    if isinstance(value, Mapping):
        names, value = value.get("classes") or [], value.get("matrix")
    given = value if isinstance(value, list | tuple) else []
    matrix = [[cell if type(cell) is int else int(number(cell) or 0) for cell in row] for row in given if isinstance(row, list | tuple)]
    if not matrix or any(len(row) != len(matrix) for row in matrix):
        return [], []
    names = list(names) or [row["class"] for row in per_class(document)] or class_names(document)
    return [str(name) for name in names] if len(names) == len(matrix) else [str(i) for i in range(len(matrix))], matrix


def class_names(document: Document) -> list[str]:
    """Names of the classes, wherever the document gives them (a list, objects, or counts by name)."""
    for value in (mapping(document, "data").get("classes"), document.get("classes")):
        if isinstance(value, Mapping):
            return [str(name) for name in value]
        if isinstance(value, list | tuple):
            return [str(item.get("name", item.get("class", ""))) if isinstance(item, Mapping) else str(item) for item in value]
    return []


def confused_pairs(names: list[str], matrix: list[list[int]]) -> list[tuple[str, str, int, int]]:
    """(label, predicted, how often, examples of that label), most frequent first."""
    found = []
    for i, row in enumerate(matrix):
        total = sum(row)
        found += [(names[i], names[j], cell, total) for j, cell in enumerate(row) if cell > 0 and i != j]
    return sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))


def calibration(document: Document) -> list[dict[str, float]]:
    """Bins with something in them: low, high, confidence, accuracy, n."""
    found = []
    for row in rows(document, "calibration"):
        values = {key: number(row.get(key)) for key in ("low", "high", "confidence", "accuracy")}
        n = number(row.get("n", row.get("count")))
        if n and all(value is not None for value in values.values()):
            found.append({**{key: value or 0.0 for key, value in values.items()}, "n": n})
    return found


def history(document: Document) -> list[dict[str, Any]]:
    """The steps of the run with one count over all phases (where each phase counts from 1, they are put end to end) and phases by name."""
    names = [str(phase.get("name", "")) for phase in rows(mapping(document, "plan"), "phases")]
    found, before, offset = [], 0.0, 0.0
    for row in rows(document, "history"):
        step = number(row.get("step"))
        if step is None:
            continue
        if step < before:
            offset += before
        before = step
        phase = row.get("phase")
        named = names[phase] if isinstance(phase, int) and 0 <= phase < len(names) else phase
        found.append({**row, "step": step + offset, "phase": named})
    return found


def flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of everything that is not a list, nested objects opened."""
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        elif not isinstance(value, list | tuple):
            yield f"{prefix}{key}", value


def verdict(document: Document) -> str:
    """One sentence for somebody who reads no further."""
    found = headline(document)
    if found is None:
        return "Nothing has been measured yet."
    split, name, metric = found
    value, n = number(metric) or 0.0, number(metric.get("n"))
    low, high = number(metric.get("low")), number(metric.get("high"))
    of = f" of {n:,.0f}" if n else ""
    where = {"test": "examples that it had never seen", "valid": "validation examples"}.get(split, f"{split} examples")
    between = f" (between {100 * low:.1f}% and {100 * high:.1f}% with 95% confidence)" if low is not None and high is not None else ""
    if name == "accuracy":
        sentence = f"Right on {100 * value:.1f}%{of} {where}{between}"
    else:
        sentence = f"{name.replace('_', ' ').capitalize()} {value:.3f} on{of.removeprefix(' of')} {where}"
        sentence += f" (95% interval {low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    return sentence + _weakest(document) + "."


def _weakest(document: Document) -> str:
    scored = [(f1, row["class"]) for row in per_class(document) if (f1 := number(row.get("f1"))) is not None]
    if len(scored) < 2:
        return ""
    f1, name = min(scored)
    return f"; weakest on “{name[:60]}” (F1 {f1:.2f})" if f1 < 0.995 else "; no class stands out as weak"
