"""Words as ids: the tokenizer of a file of word vectors. It is its list of words and nothing else, so that it is rebuilt identically anywhere.

    0 padding    1 between the texts of a pair    2 ... the words of the file    then a few rows that all other words share, by hash

What is not said is read off the words: those of a single character each mean that texts are cut into characters; without a capital
among them texts are lower-cased.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

PAD, BETWEEN, FIRST = 0, 1, 2
"""Ids with a duty, and the id of the first word."""
MOSTLY = 0.9
LONGEST_UNSPACED = 8
"""Characters of the longest word that is looked for in writing without spaces."""
REMEMBERED = 200_000
PIECES = re.compile(r"n't\b|'(?:s|re|ve|ll|d|m)\b|[\u3400-\u9fff]+|\d+(?:[.,:]\d+)*|(?:(?!n't\b)[^\W\d_\u3400-\u9fff])+|([^\w\s])\1*|\S")
"""What a text between two spaces is cut into, as English vectors are made: do|n't, it|'s, 3.5, signs apart."""


class WordTokenizer:
    """Called as the tokenizers of transformers are, as far as ``data`` does. ``unknown``: rows for words without a vector."""

    padding_side = "right"
    model_input_names = ("input_ids", "attention_mask")
    model_max_length = 1 << 30
    is_fast = True
    pad_token_id, sep_token_id = PAD, BETWEEN
    bos_token_id = eos_token_id = cls_token_id = mask_token_id = unk_token_id = None
    unk_token = "<unknown>"
    all_special_ids = (PAD, BETWEEN)

    def __init__(self, words: Sequence[str], *, unknown: int) -> None:
        self.words, self.unknown = tuple(words), unknown
        self._ids = {word: FIRST + place for place, word in enumerate(self.words)}
        self._remembered: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        """Rows of the table of vectors."""
        return FIRST + len(self.words) + self.unknown

    @cached_property
    def by_character(self) -> bool:
        return sum(len(word) == 1 for word in self.words) >= MOSTLY * len(self.words)

    @cached_property
    def lower(self) -> bool:
        return not any(word != word.lower() for word in self.words)

    def get_vocab(self) -> dict[str, int]:
        return {
            "<pad>": PAD,
            "<sep>": BETWEEN,
            **self._ids,
            **{f"{self.unk_token}{i}": len(self) - self.unknown + i for i in range(self.unknown)},
        }

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        known = ("<pad>", "<sep>", *self.words)
        return [known[i] if i < len(known) else f"{self.unk_token}{i - len(known)}" for i in ids]

    def __call__(
        self,
        texts: Sequence[Any],
        *,
        is_split_into_words: bool = False,
        truncation: bool = False,
        max_length: int | None = None,
        **_: Any,
    ) -> Any:
        """``input_ids`` of texts or pairs of them; of one sentence given as words, an object that also knows which word an id stands for."""
        limit = max_length if truncation else None
        if is_split_into_words:
            return Sentence([self.id_of(self.folded(word)) for word in texts][:limit])
        rows = [self._pair(text[0], text[1], limit) if isinstance(text, tuple) else self.ids(text)[:limit] for text in texts]
        return {"input_ids": rows}

    def ids(self, text: str) -> list[int]:
        return [self.id_of(piece) for piece in self.pieces(text)]

    def missing(self, texts: Iterable[str]) -> tuple[int, Counter[str]]:
        """How many words the texts have, and those without a vector with how often they come."""
        counted = Counter(piece for text in texts for piece in self.pieces(text))
        return counted.total(), Counter({word: count for word, count in counted.items() if word not in self._ids})

    def id_of(self, piece: str) -> int:
        """Of a word as ``pieces`` cuts it: its own row, or the one that its hash shares with others."""
        known = self._ids.get(piece)
        return known if known is not None else len(self) - self.unknown + zlib.crc32(piece.encode()) % self.unknown

    def pieces(self, text: str) -> list[str]:
        """The words of ``text``, each as the file writes it where it has it."""
        if self.by_character:
            return [self.folded(character) for character in text if not character.isspace()]
        return [piece for chunk in text.split() for piece in self._of_chunk(chunk)]

    def folded(self, word: str) -> str:
        """The first way to write ``word`` that has a vector: as it is, in small letters, in its plain form (full width, ligatures); else the last."""
        plain = unicodedata.normalize("NFKC", word)
        ways = [word.lower(), plain.lower()] if self.lower else [word, plain, word.lower()]
        return next((way for way in ways if way in self._ids), ways[0])

    # -- inside ------------------------------------------------------------------------------------------------------------------

    def _pair(self, first: str, second: str, limit: int | None) -> list[int]:
        """Both texts with a sign between; where they are too long together, the longer one gives way."""
        sides = [self.ids(first), self.ids(second)]
        room = len(sides[0]) + len(sides[1]) if limit is None else max(limit - 1, 0)
        short = min(len(side) for side in sides)
        most = max(room - short, room - room // 2)
        first_ids = sides[0][:most]
        return [*first_ids, BETWEEN, *sides[1][: room - len(first_ids)]]

    def _of_chunk(self, chunk: str) -> tuple[str, ...]:
        """Of what stands between two spaces: itself where it has a vector, else its pieces."""
        held = self._remembered.get(chunk)
        if held is None:
            held = self._cut(chunk)
            if len(self._remembered) < REMEMBERED:
                self._remembered[chunk] = held
        return held

    def _cut(self, chunk: str) -> tuple[str, ...]:
        if (whole := self.folded(chunk)) in self._ids:
            return (whole,)
        found: list[str] = []
        for match in PIECES.finditer(chunk.replace("’", "'")):
            piece = match[0]
            if "\u3400" <= piece[0] <= "\u9fff":
                found += self._unspaced(piece)
            elif match[1] and self.folded(piece) not in self._ids:  # a row of one sign that is no word of its own: the sign once
                found.append(self.folded(match[1]))
            else:
                found.append(self.folded(piece))
        return tuple(found)

    def _unspaced(self, run: str) -> list[str]:
        """Writing without spaces, cut into the longest words that have a vector, from the left."""
        found, start = [], 0
        while start < len(run):
            sizes = range(min(LONGEST_UNSPACED, len(run) - start), 1, -1)
            size = next((size for size in sizes if run[start : start + size] in self._ids), 1)
            found.append(run[start : start + size])
            start += size
        return found


class Sentence(dict[str, list[int]]):
    """``input_ids`` of one sentence, a word to each."""

    def __init__(self, ids: list[int]) -> None:
        super().__init__(input_ids=ids)

    def word_ids(self) -> list[int]:
        return list(range(len(self["input_ids"])))
