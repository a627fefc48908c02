"""Conversations, plain text and preference pairs as token ids, with the next token to say at each place that is learned.

    place      0      1       2      3      4         a row of ``input_ids``
    token      User:  hi      Bot:   hello  <eos>
    target     -      -       hello  <eos>  -         of place i: the token at i + 1, where that is learned; else ``IGNORE``

A preference pair is one row of two segments, the chosen and the rejected conversation, that do not see each other (``segments`` 1 and 2). The targets of the
second are written as ``REJECTED - token``, so that one array says both which token and which answer it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regraft import digest
from regraft.data import template
from regraft.data.dataset import Split
from regraft.data.encoded import IGNORE, Progress
from regraft.data.text import Flat, TextEncoded, length_limit
from regraft.data.tokenise import pad_id
from regraft.data.turns import Turn, turns_of
from regraft.spec import InputSpec

REJECTED = -1_000
CHUNK = 256
LOGITS = 1 << 26
"""Numbers that the model says at once, outside of training: a quarter of a gigabyte."""


@dataclass(frozen=True, slots=True)
class Line:
    """One conversation: its tokens, which of them are learned, whether it lost some of them to the length limit."""

    tokens: list[int]
    learned: list[bool]
    cut: bool


def encode_turns(split: Split, spec: InputSpec, tokenizer: Any, *, max_length: int = 0, progress: Progress | None = None) -> TextEncoded:
    """Write every conversation by the template and tokenise it, at most ``max_length`` tokens each (0: as many as the model reads).

    What is too long keeps its last answer: what stands before that gives way from its beginning, down to half the room, then the answer's end.
    """
    limit = length_limit(max_length, spec, tokenizer)
    rows: list[list[Line]] = []
    for cell in split.inputs:
        rows.append([line_of(turns, tokenizer, limit) for turns in sides(turns_of(cell))])
        if progress is not None and (len(rows) % CHUNK == 0 or len(rows) == len(split)):
            progress(len(rows), len(split))
    return laid(rows, split, tokenizer, limit)


def sides(turns: Sequence[Turn]) -> list[list[Turn]]:
    """The conversation; of a preference pair both, each ending with its answer."""
    if not turns or turns[-1][0] != "rejected":
        return [list(turns)]
    before = list(turns[:-2])
    return [[*before, ("assistant", turns[-2][1])], [*before, ("assistant", turns[-1][1])]]


def line_of(turns: Sequence[Turn], tokenizer: Any, limit: int | None) -> Line:
    tokens: list[int] = []
    learned: list[bool] = []
    for text, learns in template.pieces(turns, tokenizer):
        made = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        tokens += made
        learned += [learns] * len(made)
    if not tokens:
        tokens, learned = [pad_id(tokenizer)], [False]
    return shortened(tokens, learned, limit)


def shortened(tokens: list[int], learned: list[bool], limit: int | None) -> Line:
    """At most ``limit`` tokens."""
    if limit is None or len(tokens) <= limit:
        return Line(tokens, learned, cut=False)
    last = _last_answer(learned)
    room = max(limit - (len(tokens) - last), limit // 2)
    kept = slice(max(last - room, 0), None)
    return Line(tokens[kept][:limit], learned[kept][:limit], cut=True)


def laid(rows: Sequence[Sequence[Line]], split: Split, tokenizer: Any, limit: int | None) -> TextEncoded:
    """``rows`` one after the other, each of one line, or of the two of a preference pair."""
    is_pair = bool(rows) and len(rows[0]) == 2
    lengths = np.array([sum(len(line.tokens) for line in row) for row in rows], np.int64)
    flat = Flat(
        _flat([line.tokens for row in rows for line in row]),
        np.concatenate([[0], np.cumsum(lengths)]),
        tags=_flat([_targets(line, rejected=place == 1) for row in rows for place, line in enumerate(row)]),
        segments=_flat([[place] * len(line.tokens) for row in rows for place, line in enumerate(row, start=1)]) if is_pair else None,
    )
    targets = np.zeros((len(rows), 2), np.float32) if is_pair else split.targets
    made = TextEncoded(
        flat, targets=targets, digests=split.digests, cut=np.array([any(line.cut for line in row) for row in rows], bool), tokenizer=tokenizer,
        limit=limit, also={"template": digest.of_json(tokenizer.chat_template or template.HEADINGS), "learns": "next token"},
    )  # fmt: skip
    made.most_together = max(LOGITS // max(len(tokenizer), 1), 1)
    return made


def shown(encoded: TextEncoded, row: int, tokenizer: Any) -> list[tuple[str, bool]]:
    """Row ``row`` as the model reads it: (text, is it learned?), from the tokens themselves."""
    start, end = encoded.offsets[row], encoded.offsets[row + 1]
    assert encoded.tags is not None
    learned = np.concatenate([[False], encoded.tags[start : end - 1] != IGNORE])
    found: list[tuple[list[int], bool]] = []
    for token, learns in zip(encoded.tokens[start:end].tolist(), learned.tolist(), strict=True):
        if not found or found[-1][1] != learns:
            found.append(([], learns))
        found[-1][0].append(token)
    return [(tokenizer.decode(tokens, skip_special_tokens=False), learns) for tokens, learns in found]


def _targets(line: Line, *, rejected: bool) -> list[int]:
    following = zip(line.tokens[1:], line.learned[1:], strict=True)
    return [*((REJECTED - token if rejected else token) if learns else IGNORE for token, learns in following), IGNORE]


def _last_answer(learned: Sequence[bool]) -> int:
    """Where the last run of learned tokens begins; 0 where there is none, or nothing stands before it."""
    place = len(learned)
    while place and not learned[place - 1]:
        place -= 1
    while place and learned[place - 1]:
        place -= 1
    return place


def _flat(lists: Sequence[Sequence[int]]) -> np.ndarray:
    return np.concatenate([np.asarray(row, np.int32) for row in lists]) if lists else np.zeros(0, np.int32)


def pack(encoded: TextEncoded, limit: int | None, tokenizer: Any) -> TextEncoded:
    """Whole rows put together into fewer ones of at most ``limit`` tokens (the longest row, where there is no limit), each a segment that sees itself alone.

    The longest first, each where it leaves the least room (best fit decreasing), so that hardly a place is padding.
    """
    assert encoded.lengths is not None and encoded.tags is not None
    sizes = encoded.lengths.astype(np.int64)
    bins = filled(sizes, limit or int(sizes.max(initial=1)))
    order = np.concatenate([np.array(rows, np.int64) for rows in bins])
    places = np.concatenate([np.arange(encoded.offsets[row], encoded.offsets[row + 1]) for row in order])
    numbers = np.concatenate([np.repeat(np.arange(1, len(rows) + 1), sizes[rows]) for rows in bins]).astype(np.int32)
    flat = Flat(
        encoded.tokens[places], np.concatenate([[0], np.cumsum([int(sizes[rows].sum()) for rows in bins])]), tags=encoded.tags[places], segments=numbers
    )  # fmt: skip
    cut = np.zeros(len(bins), bool) if encoded.cut is None else np.array([bool(encoded.cut[rows].any()) for rows in bins])
    digests = [digest.of_digests([encoded.digests[row] for row in rows]) for rows in bins]
    targets = np.array([encoded.targets[rows[0]] for rows in bins], dtype=object)
    made = TextEncoded(
        flat, targets=targets, digests=digests, cut=cut, tokenizer=tokenizer, limit=limit, also={"packed": encoded.preprocessing}
    )
    made.most_together = encoded.most_together
    return made


def filled(sizes: np.ndarray, room: int) -> list[list[int]]:
    """Rows of these ``sizes`` in bins of ``room``, each bin in the order of its rows."""
    from bisect import bisect_left, insort

    free: list[tuple[int, int]] = []  # (room left, bin), sorted
    bins: list[list[int]] = []
    for row in np.argsort(-sizes, kind="stable").tolist():
        size = int(sizes[row])
        at = bisect_left(free, (size, -1))
        left, place = free.pop(at) if at < len(free) else (max(room, size), len(bins))
        if place == len(bins):
            bins.append([])
        bins[place].append(row)
        insort(free, (left - size, place))
    return [sorted(rows) for rows in sorted(bins, key=min)]
