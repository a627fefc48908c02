"""Texts that must not change unseen: compared with a file beside this one; ``REGRAFT_GOLDEN=write`` writes the files anew."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent


def matches(name: str, text: str) -> None:
    file = HERE / name
    if os.environ.get("REGRAFT_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert file.is_file(), f"{name} is not written yet: REGRAFT_GOLDEN=write pytest tests/golden"
    assert text == file.read_text(encoding="utf-8"), (
        f"{name} says something else. If that is meant: REGRAFT_GOLDEN=write pytest tests/golden, and a line in CHANGELOG.md"
    )
