"""The files of a report: page.html, page.md (the model card), page.json (the document that both are made from)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from regraft.errors import RequestError
from regraft.report.card import card
from regraft.report.page import html


def path_of(folder: Path, digest: str) -> Path:
    return folder / f"report-{digest[:12]}.html"


def write(page: Path, document: dict[str, Any]) -> None:
    page.parent.mkdir(parents=True, exist_ok=True)
    page.with_suffix(".json").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    page.write_text(html(document), encoding="utf-8")
    page.with_suffix(".md").write_text(card(document), encoding="utf-8")


def rewrite(folder: Path, digest: str, to: Path | None = None) -> Path:
    """Make the pages of a generation anew from the document that its run left; ``to``: one file elsewhere (.html or .md)."""
    page = path_of(folder, digest)
    source = page.with_suffix(".json")
    if not source.exists():
        raise RequestError(
            f"the report of {digest[:12]}", f"{source} is not there: the run folder was removed", "tune again, or regraft show"
        )
    document = json.loads(source.read_text(encoding="utf-8"))
    if to is None:
        write(page, document)
        return page
    if to.suffix not in {".html", ".md"}:
        raise RequestError(f"write the report to {to}", f"it ends with {to.suffix or 'nothing'}", "a name that ends with .html or .md")
    to.write_text(card(document) if to.suffix == ".md" else html(document), encoding="utf-8")
    return to
