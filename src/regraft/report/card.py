"""The model card: the same document as Markdown, for a repository or a model hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from regraft.report.markup import printable
from regraft.report.numbers import clipped, count, interval, number, quantity, rate, words
from regraft.report.reading import (
    Document,
    class_names,
    confused_pairs,
    confusion,
    flat,
    mapping,
    per_class,
    splits_measured,
    texts,
    verdict,
)
from regraft.spec import METRICS

MOST_CLASSES = 30
MOST_PAIRS = 5
SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def card(document: Document) -> str:
    """Front matter that the model hub reads, then what it is, how good, on which data, at what cost, and how to make it again."""
    sections = [
        ("Results", _results(document)),
        ("Weakest classes", _classes(document)),
        ("Often confused", _pairs(document)),
        ("Data", _data(document)),
        ("How it was tuned", _plan(document)),
        ("Cost", _cost(document)),
        ("Limits", _limits(document)),
        ("Make it again", _again(document)),
    ]
    top = [_front_matter(document), f"# {plain(document.get('name') or 'model')}", plain(verdict(document))]
    return printable("\n\n".join([*top, *(f"## {title}\n\n{body}" for title, body in sections if body)]) + "\n")


def plain(text: Any) -> str:
    """``text`` on one line with every sign escaped that Markdown or HTML would read."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split())).replace("\\<", "&lt;").replace("\\>", "&gt;")


def _front_matter(document: Document) -> str:
    model, task = str(document.get("model") or ""), str(document.get("task") or "")
    lines = ["library_name: regraft", "tags: [regraft]"]
    if task:
        lines.append(f"pipeline_tag: {json.dumps(task)}")
    if model.startswith(("hf:", "timm:")):
        hub = model.removeprefix("hf:") if model.startswith("hf:") else f"timm/{model.removeprefix('timm:')}"
        lines.append(f"base_model: {json.dumps(hub)}")
    return "\n".join(["---", *lines, "---"])


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _results(document: Document) -> str:
    measured = splits_measured(document)
    known = {name for values in measured.values() for name in values}
    names = [name for name in METRICS if name in known]
    if not names:
        return ""
    rows = (
        [words(name), *(f"{rate(values.get(name))} {interval(values.get(name))}".strip() for values in measured.values())] for name in names
    )
    return _table(["metric (95% interval)", *measured], rows)


def _classes(document: Document) -> str:
    scored = sorted((f1, row["class"], row) for row in per_class(document) if (f1 := number(row.get("f1"))) is not None)
    rows = (
        [plain(name), *(rate(row.get(key), 2) for key in ("precision", "recall", "f1")), count(row.get("n"))]
        for _, name, row in scored[:MOST_CLASSES]
    )
    return _table(["class", "precision", "recall", "F1", "examples"], rows) if scored else ""


def _pairs(document: Document) -> str:
    return "\n".join(
        f"- {plain(label)} was called {plain(predicted)} {times} times of {of}"
        for label, predicted, times, of in confused_pairs(*confusion(document))[:MOST_PAIRS]
    )


def _data(document: Document) -> str:
    check, names = mapping(document, "data"), class_names(document)
    lines = [f"- {plain(text)}" for text in texts(check, "said")]
    if names:
        lines.append(f"- {count(len(names))} classes: {plain(clipped(', '.join(names), 1000))}")
    if check.get("fingerprint"):
        lines.append(f"- fingerprint `{str(check['fingerprint'])[:64]}`")
    return "\n".join(lines)


def _plan(document: Document) -> str:
    plan = mapping(document, "plan")
    facts = [(key, document.get(key) or plan.get(key)) for key in ("model", "strategy")]
    lines = [f"- {key}: {plain(value)}" for key, value in facts if value]
    lines += [f"- {plain(reason)}" for reason in texts(document, "reasons") or texts(plan, "reasons")]
    return "\n".join(lines)


def _cost(document: Document) -> str:
    return "\n".join(
        f"- {words(key)}: {plain(quantity(key, value))}" for key, value in flat(mapping(document, "cost")) if value is not None
    )


def _limits(document: Document) -> str:
    found = texts(document, "warnings") or texts(mapping(document, "plan"), "warnings")
    return "\n".join(f"- {plain(text)}" for text in found)


def _again(document: Document) -> str:
    command = document.get("command")
    text = " ".join(map(str, command)) if isinstance(command, list | tuple) else str(command or "")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    lines = [f"{fence}\n{text}\n{fence}"] if text else []
    if document.get("digest"):
        lines.append(
            f"Generation `{str(document['digest'])[:64]}`"
            + (f", parent `{str(document['parent'])[:64]}`" if document.get("parent") else "")
            + "."
        )
    return "\n\n".join(lines)
