"""What a law does when it does not hold."""

from __future__ import annotations


def law(holds: bool, sentence: str) -> None:
    """Raise ``AssertionError`` with ``sentence`` unless ``holds``; unlike a bare assert, also where Python runs with -O."""
    if not holds:
        raise AssertionError(sentence)
