"""Fixtures of the whole way: a small model folder, a small CSV, a store of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from small import model_folder, write_tickets


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"file:{model_folder(tmp_path_factory.mktemp('model'))}"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_tickets(tmp_path / "tickets.csv")
