"""What the whole test suite shares: where the real data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: ``$REGRAFT_DATA``, else ``../shared/data`` beside the checkout; the test is skipped where there is none."""
    named = os.environ.get("REGRAFT_DATA")
    folder = Path(named) if named else BESIDE_THE_CHECKOUT
    if not folder.is_dir():
        pytest.skip("no real data here: set REGRAFT_DATA to the folder that holds banking77, cifar10 and the others")
    return folder
