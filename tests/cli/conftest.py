"""The whole way on a small model and a small CSV, one verb at a time; the data and the model are those of ``small``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from regraft.cli.__main__ import main
from small import data, model  # noqa: F401

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.fixture
def regraft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a verb in this process: exit code, stdout, stderr."""
    monkeypatch.setenv("REGRAFT_STORE", str(tmp_path / "store"))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["regraft", *words])
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 0
        out = capsys.readouterr()
        if "--json" in words:
            fits_its_schema(words[0], json.loads(out.out))
        return code, out.out, out.err

    return run


def fits_its_schema(verb: str, document: dict[str, Any]) -> None:
    """Every document that a verb prints is described in docs/schemas."""
    described = SCHEMAS / f"{'error' if 'error' in document else verb}.json"
    if described.exists():
        jsonschema.validate(document, json.loads(described.read_text()))
