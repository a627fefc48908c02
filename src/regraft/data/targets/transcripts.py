"""What is said in a sound, as the characters of its transcript. Which characters there are is learnt from the training transcripts."""

from __future__ import annotations

from collections import Counter

import numpy as np

from regraft.data import arrays, arrow
from regraft.data.examples import Examples
from regraft.data.spelling import codes, is_sign, is_unspaced, plain
from regraft.data.split import training_rows
from regraft.data.targets.reader import Learnt, Read, Reader, some, taken
from regraft.errors import DataError

MOST = 8_000
"""More characters than any script in use has: the column is none of transcripts."""
EMPTY = "empty transcript"


def learn(found: Examples, sides: np.ndarray, reference: str) -> Learnt:
    """``facts``: ``classes`` (the characters), ``mean_characters`` of a training transcript, and the ``headline``: errors by word, or by character
    where the script puts no spaces between words."""
    rows = training_rows(sides, reference)
    targets = arrow.numbers(found.table.column("target"))
    texts = [plain(label) for label in found.labels]
    spoken = [texts[code] for code in targets[rows] if texts[code]]
    counts = Counter(character for text in spoken for character in text)
    if not counts or len(counts) > MOST:
        raise DataError(
            f"read the transcripts of {reference}",
            f"{len(counts):,} different characters in them",
            "--target names the column of transcripts",
        )
    classes = tuple(sorted(counts))
    unspaced = sum(count for character, count in counts.items() if is_unspaced(character))
    facts = {
        "classes": list(classes),
        "mean_characters": float(np.mean([len(text) for text in spoken])),
        "headline": "cer" if 2 * unspaced > counts.total() else "wer",
    }
    others = Counter(character for code in targets[~rows] for character in texts[code] if character not in counts)
    return Learnt(classes, facts, tuple(_said(spoken, counts, others)))


def read(found: Examples, sides: np.ndarray, learnt: Learnt, reference: str, allow_unknown: bool) -> Read:
    """Empty transcripts are listed. Characters that are no classes stay in the truth: nothing can spell them, and each counts as an error."""
    known = {character: index for index, character in enumerate(learnt.classes)}
    texts = [plain(label) for label in found.labels]
    return taken(
        found, sides, [codes(text, known) for text in texts], faults=["" if text else EMPTY for text in texts], kind=arrays.TRANSCRIPT
    )


def _said(spoken: list[str], counts: Counter[str], others: Counter[str]) -> list[str]:
    words = sum(len(text.split()) for text in spoken)
    said = [f"Transcripts are read in small letters: {words:,} words of {len(counts)} characters to learn from."]
    if signs := [character for character in sorted(counts) if is_sign(character)]:
        said.append(f"Signs are spelled too: {some(signs)}. Take them out of the transcripts if nobody is to read them.")
    if others:
        listed = ", ".join(f"{character!r} ({count:,})" for character, count in others.most_common(5))
        said.append(f"Characters that no training transcript has, each of which counts as an error: {listed}.")
    return said


READER = Reader(learn=learn, read=read, may_be_blank=True)
