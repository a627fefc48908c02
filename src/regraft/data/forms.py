"""What the columns of a table say about the form of its examples: one text or a pair, words with tags, classes, numbers or sets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from regraft.data.targets.numbers import value_of
from regraft.data.targets.sets import is_set
from regraft.spec import PART, Target

PAIRS = (
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("text1", "text2"), ("sentence_1", "sentence_2"),
    ("text_a", "text_b"), ("sentence_a", "sentence_b"), ("question_1", "question_2"), ("text_1", "text_2"), ("query", "document"),
)  # fmt: skip
WORDS = ("tokens", "words")
MASKS = ("mask", "mask_path", "masks", "segmentation", "annotation", "label", "label_path", "target", "gt", "ground_truth", "掩码")
TRANSCRIPTS = ("transcript", "transcription", "transcripts", "text", "sentence", "normalized_text", "utterance", "转写", "文本")
TAGS = ("tags", "ner_tags", "labels", "pos_tags", "ner", "label")
FEW_VALUES = 10
"""Numbers with decimals that take fewer values than this may be classes; --task regression tells."""
SHOWN_WORDS = 40


def pair_in(names: Sequence[str]) -> tuple[str, str] | None:
    """Two columns whose names say that they belong together, as they are spelled in the table."""
    plain = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in names}
    return next(((plain[first], plain[second]) for first, second in PAIRS if first in plain and second in plain), None)


def words_in(rows: Mapping[str, Sequence[str | None]]) -> tuple[str, str] | None:
    """(column of words, column of tags): both hold lists of the same length."""
    words = _named(rows, WORDS)
    tags = _named(rows, TAGS)
    if words is None or tags is None:
        return None
    both = [(a, b) for a, b in zip(rows[words], rows[tags], strict=True) if a and b][:SHOWN_WORDS]
    even = sum(is_list(a) and is_list(b) and len(split_words(a)) == len(split_words(b)) for a, b in both)
    return (words, tags) if both and even > len(both) / 2 else None


def target_in(values: Sequence[str | None]) -> Target:
    """Class, number or set, from the cells of the target column. Numbers that look like classes are taken for classes."""
    present = [value.strip() for value in values if value and value.strip()]
    numbers = {value_of(value) for value in set(present)}
    if present and None not in numbers:
        distinct = len(numbers)
        with_decimals = any(number != int(number) for number in numbers if number is not None)
        is_number = distinct >= FEW_VALUES if with_decimals else distinct > max(FEW_VALUES, len(present) // 3)
        return "number" if is_number else "class"
    return "set" if is_set(present) else "class"


def is_list(cell: str) -> bool:
    return PART in cell or (cell.startswith("[") and cell.endswith("]"))


def split_words(cell: str) -> list[str]:
    """The words (or tags) in one cell: a JSON list, parts, or words with spaces between them."""
    if PART in cell:
        return cell.split(PART)
    if cell.startswith("[") and cell.endswith("]"):
        try:
            return [str(word) for word in json.loads(cell)]
        except json.JSONDecodeError:
            pass  # a sentence in brackets
    return cell.split()


def joined(cells: Sequence[str | None]) -> str | None:
    """One input of several parts; None where one of them is missing."""
    parts = [(cell or "").replace(PART, " ") for cell in cells]
    return PART.join(parts) if all(part.strip() for part in parts) else None


def joined_words(cell: str | None) -> str | None:
    """The words of one cell as one input; a word that is empty or blank becomes a dash, so that its tag keeps its place."""
    if not cell or not cell.strip():
        return None
    return PART.join(word.strip() or "-" for word in split_words(cell))


def _named(rows: Mapping[str, Sequence[str | None]], names: Sequence[str]) -> str | None:
    plain = {name.strip().lower(): name for name in rows}
    return next((plain[name] for name in names if name in plain), None)
