"""Texts, pairs of texts and words of sentences to token ids, as the tokenizer writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regraft.data.encoded import IGNORE
from regraft.errors import RequestError
from regraft.spec import PART


@dataclass(frozen=True, slots=True)
class Tokenised:
    """Some rows as lists of token ids, special tokens among them; which of them were ``cut`` (n,); their ``types`` and ``tags``, where there are any."""

    ids: list[list[int]]
    cut: np.ndarray
    types: list[list[int]] | None = None
    tags: list[list[int]] | None = None


def tokenise(texts: list[str], tokenizer: Any, limit: int | None, *, pairs: bool = False) -> Tokenised:
    """Each text, or (``pairs``) each pair of texts joined by ``spec.PART``.

    Only what is too long goes through the tokenizer a second time: it alone knows which special tokens to keep.
    """
    with_types = pairs and "token_type_ids" in tokenizer.model_input_names
    plain = {"add_special_tokens": True, "return_attention_mask": False, "return_token_type_ids": with_types, "verbose": False}
    asked: list[Any] = [tuple(text.split(PART, 1)) for text in texts] if pairs else texts
    made = tokenizer(asked, **plain)
    ids, types = made["input_ids"], made["token_type_ids"] if with_types else None
    long = _long(ids, limit)
    places = np.flatnonzero(long).tolist()
    if places:
        shortened = tokenizer([asked[place] for place in places], truncation=True, max_length=limit, **plain)
        for index, place in enumerate(places):
            ids[place] = shortened["input_ids"][index]
            if types is not None:
                types[place] = shortened["token_type_ids"][index]
    return Tokenised([row or [pad_id(tokenizer)] for row in ids], long, types)  # a model needs one token at least, also for an empty text


def tokenise_words(texts: list[str], tags: Sequence[np.ndarray], tokenizer: Any, limit: int | None) -> Tokenised:
    """Each sentence, its words joined by ``spec.PART``; the tag of a word stands at its first piece, ``IGNORE`` elsewhere.

    Words behind the limit are left out. Raises ``RequestError`` for a tokenizer that cannot say which piece belongs to which word.
    """
    _check_words(tokenizer)
    sentences = [text.split(PART) for text in texts]
    ids: list[list[int]] = []
    laid: list[list[int]] = []
    for words, own in zip(sentences, tags, strict=True):
        made = _pieces(words, tokenizer)
        if limit is not None and len(made["input_ids"]) > limit:
            made = tokenizer(words, is_split_into_words=True, truncation=True, max_length=limit)
        owners = made.word_ids()
        firsts = [owner is not None and owner not in owners[:place] for place, owner in enumerate(owners)]
        ids.append(made["input_ids"] or [pad_id(tokenizer)])
        laid.append([int(own[owner]) if first else IGNORE for owner, first in zip(owners, firsts, strict=True)] or [IGNORE])
    kept = np.array([sum(tag != IGNORE for tag in row) for row in laid])
    return Tokenised(ids, kept < np.array([len(words) for words in sentences]), tags=laid)


def _pieces(words: list[str], tokenizer: Any) -> Any:
    """The sentence with at least one piece for each word: what the tokenizer would drop (a lone invisible sign) becomes its unknown token."""
    made = tokenizer(words, is_split_into_words=True, verbose=False)
    missing = set(range(len(words))) - set(made.word_ids())
    if not missing:
        return made
    unknown = tokenizer.unk_token or "?"
    return tokenizer([unknown if place in missing else word for place, word in enumerate(words)], is_split_into_words=True, verbose=False)


def _check_words(tokenizer: Any) -> None:
    advice = "a model with a WordPiece or SentencePiece tokenizer, such as bundled:minilm"
    if not getattr(tokenizer, "is_fast", False):
        raise RequestError(
            "tokenise words with their tags", f"{type(tokenizer).__name__} does not say which word a piece belongs to", advice
        )
    if getattr(tokenizer, "add_prefix_space", True) is False and '"ByteLevel"' in tokenizer.backend_tokenizer.to_str():
        found = f"{type(tokenizer).__name__} reads a word at the beginning of a text in another way than inside"
        raise RequestError("tokenise words with their tags", found, f"one made with add_prefix_space=True, or {advice}")


def _long(ids: list[list[int]], limit: int | None) -> np.ndarray:
    return np.fromiter((limit is not None and len(row) > limit for row in ids), dtype=np.bool_, count=len(ids))


def pad_id(tokenizer: Any) -> int:
    """The id that fills short rows; decoders have no such token, theirs is the end-of-text one (the mask hides it)."""
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((number for number in known if number is not None), 0)
