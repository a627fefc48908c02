"""Transcripts, character by character: how they are read, and how characters are numbered."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
"""How Unicode begins the names of letters of scripts that put no spaces between words."""


def plain(text: str) -> str:
    """As it is learned and measured: composed (NFC), in small letters, one space between words. What cannot be heard is no difference."""
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def codes(text: str, classes: dict[str, int]) -> list[int]:
    """The index of each character in ``classes``; of one that is none of them minus its code point, so that the truth stays what it is."""
    return [classes.get(character, -ord(character)) for character in text]


def text_of(numbers: NDArray[np.integer] | Sequence[int], classes: Sequence[str]) -> str:
    """What ``codes`` was made of."""
    return "".join(classes[number] if number >= 0 else chr(-number) for number in map(int, numbers))


def unknown(numbers: Iterable[int]) -> list[str]:
    """The characters that are none of the classes."""
    return [chr(-number) for number in map(int, numbers) if number < 0]


def is_unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(UNSPACED)


def is_sign(character: str) -> bool:
    """Neither a letter, a digit or an accent, nor a space, an apostrophe or a hyphen: nobody says it."""
    return unicodedata.category(character)[0] not in "LMN" and character not in " '’-"
