"""Schemes by which tags of words mark entities, and where a sequence breaks its scheme.

| scheme | entity of one word | of two | of three | elsewhere |
|---|---|---|---|---|
| BIO | B | B I | B I I | O |
| IOB1 | I | I I | I I I, and B only where two entities of a type touch | O |
| BIOES (BILOU) | S (U) | B E (L) | B I E (L) | O |
| BMES | S | B E | B M E | O |
| plain | every tag names the class of its word | | | |

A tag is written prefix, hyphen, type: ``B-person``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

Scheme = Literal["BIO", "IOB1", "BIOES", "BILOU", "BMES", "plain"]
OUTSIDE = "O"
PREFIXES: dict[str, tuple[str, ...]] = {
    "BIO": ("B", "I"),
    "IOB1": ("B", "I"),
    "BIOES": ("B", "I", "E", "S"),
    "BILOU": ("B", "I", "L", "U"),
    "BMES": ("B", "M", "E", "S"),
    "plain": (),
}
TAG = re.compile(r"^([BIESMLU])-(.+)$")
LAST, SINGLE = frozenset("EL"), frozenset("SU")
IOB1_SHARE = 0.5
"""Where more entities than this begin with I, the tags are IOB1 rather than broken BIO."""
Span = tuple[str, int, int]
"""(type, first word, last word) of an entity."""


def parted(tag: str) -> tuple[str, str]:
    """(prefix, type); ("O", "") outside."""
    match = TAG.match(tag)
    return (match.group(1), match.group(2)) if match else (OUTSIDE, "")


def scheme_of(sentences: Iterable[Sequence[str]]) -> Scheme:
    """The scheme that the tags of these sentences are written in."""
    known = list(sentences)
    tags = {tag for tags in known for tag in tags}
    inside = {tag for tag in tags if tag != OUTSIDE}
    if not inside or not all(TAG.match(tag) for tag in inside):
        return "plain"
    prefixes = {parted(tag)[0] for tag in inside}
    if "M" in prefixes:
        return "BMES"
    if prefixes & {"L", "U"}:
        return "BILOU"
    if prefixes & {"E", "S"}:
        return "BIOES"
    begun = [tag[0] for tags in known for place, tag in enumerate(tags) if _begins(tags, place)]
    return "IOB1" if begun.count("I") > IOB1_SHARE * len(begun) else "BIO"


def _begins(tags: Sequence[str], place: int) -> bool:
    """Does an entity begin here, whatever its tag says?"""
    prefix, kind = parted(tags[place])
    if prefix == OUTSIDE:
        return False
    before = parted(tags[place - 1]) if place else (OUTSIDE, "")
    return prefix == "B" or before[0] == OUTSIDE or before[1] != kind


def as_bio(tags: Sequence[str]) -> list[str]:
    """IOB1 written as BIO: every entity begins with B."""
    return [f"B-{parted(tag)[1]}" if _begins(tags, place) else tag for place, tag in enumerate(tags)]


def fault(tags: Sequence[str], scheme: Scheme) -> str:
    """The first place where ``tags`` break the scheme, in words; empty where they do not."""
    if scheme in ("plain", "IOB1"):
        return ""
    open_type = ""
    for place, tag in enumerate([*tags, OUTSIDE]):
        prefix, kind = parted(tag)
        goes_on = prefix in ("I", "M") or prefix in LAST
        before = tags[place - 1] if place else "the beginning"
        if goes_on and open_type != kind:
            return f"{tag} after {before} at word {place + 1} breaks {scheme}"
        if scheme != "BIO" and open_type and not goes_on:
            return f"{before} at word {place} is never closed, which breaks {scheme}"
        stays = prefix in ("B", "I", "M")
        open_type = kind if stays else ""
    return ""


def classes_of(tags: Iterable[str], scheme: Scheme) -> tuple[str, ...]:
    """Outputs of a head for these tags: O first, then every prefix of the scheme for every type that occurs."""
    present = set(tags)
    if scheme == "plain":
        return (*([OUTSIDE] if OUTSIDE in present else []), *sorted(present - {OUTSIDE}))
    kinds = sorted({parted(tag)[1] for tag in present} - {""})
    return (OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in PREFIXES[scheme]))


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities that ``tags`` mark, read as seqeval and conlleval do: a tag that breaks its scheme begins an entity of its own.

    Every tag of a plain scheme but O is an entity of one word.
    """
    found: list[Span] = []
    start, before = 0, (OUTSIDE, "")
    for place, tag in enumerate([*tags, OUTSIDE]):
        now = parted(tag)
        if _ends(before, now):
            found.append((before[1], start, place - 1))
        if _starts(before, now):
            start = place
        before = now
    return found


def plain_spans(tags: Sequence[str]) -> list[Span]:
    """Every word whose tag is not O, by itself."""
    return [(tag, place, place) for place, tag in enumerate(tags) if tag != OUTSIDE]


def _ends(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """Is an entity over between these two tags?"""
    if before[0] == OUTSIDE:
        return False
    return before[0] in LAST | SINGLE or now[0] in {OUTSIDE, "B"} | SINGLE or before[1] != now[1]


def _starts(before: tuple[str, str], now: tuple[str, str]) -> bool:
    if now[0] == OUTSIDE:
        return False
    return now[0] in {"B"} | SINGLE or before[0] in {OUTSIDE} | LAST | SINGLE or before[1] != now[1]
