"""The normalised key of a text: what is left when a person would call two texts the same."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from regraft.data import arrow

DIGITS = r"\p{Nd}+"
NOT_SAID = r" *(?:[\p{P}\p{C}]|[^\P{Z} ])[\p{P}\p{Z}\p{C}]*|  +"
"""Punctuation and spaces, as many as stand together; but for the one space between two words, which stays what it is: most of them are."""
NOTHING = arrow.array([""], pa.string())[0]


def normalised(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """NFKC, lower case, every number 0, punctuation and spaces one space. A text of nothing but punctuation stays as it is."""
    plain = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    key = pc.replace_substring_regex(plain, DIGITS, "0")
    key = pc.utf8_trim_whitespace(pc.replace_substring_regex(key, NOT_SAID, " "))
    return pc.if_else(pc.equal(key, NOTHING), plain, key)


def hashes(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """(n,) uint64, one per text: equal texts have equal hashes, on every machine and for ever."""
    digests = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in texts.to_pylist())
    return np.frombuffer(digests, np.dtype("<u8")).astype(np.uint64)
