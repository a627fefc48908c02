"""What a model's tokenizer cannot read of a data set: words without a vector, pieces that become the unknown token."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from regraft.data.dataset import Split
from regraft.data.fields import texts_of
from regraft.spec import PART

MOST = 20_000
"""Examples that are looked at."""
SHOWN = 8
MUCH = 0.3
"""From this share on the model misses so much that a person should look for another one."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """``total``: words (or pieces) that were looked at; ``missing``: those that the model does not know, with how often they come."""

    what: str
    total: int
    missing: Counter[str]

    @property
    def share(self) -> float:
        return self.missing.total() / max(self.total, 1)

    @property
    def is_poor(self) -> bool:
        return self.share >= MUCH

    @property
    def often(self) -> str:
        return ", ".join(f"{word!r} ({count:,})" for word, count in self.missing.most_common(SHOWN))

    def __str__(self) -> str:
        many = f"{self.share:.1%} of the {self.total:,} {self.what} of train are unknown to the model, {len(self.missing):,} different ones"
        return f"{many}; most often {self.often}" if self.missing else f"the model knows all of the {self.total:,} {self.what} of train"


def share_unknown(tokens: np.ndarray, num_rows: int, tokenizer: Any) -> float:
    """Of ``tokens``, the ids of ``num_rows`` texts as they are encoded already, those that stand for what the model does not know."""
    if tokenizer.unk_token_id is None:
        return 0.0
    pieces = len(tokens) - num_rows * tokenizer.num_special_tokens_to_add()
    return np.count_nonzero(tokens == tokenizer.unk_token_id) / max(pieces, 1)


def coverage(split: Split, tokenizer: Any) -> Coverage:
    """Over the first ``MOST`` texts of ``split``."""
    texts = [part for text in texts_of(split.take(np.arange(min(len(split), MOST)))) for part in text.split(PART)]
    missing = getattr(tokenizer, "missing", None)
    if missing is not None:
        return Coverage("words", *missing(texts))
    made = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=bool(tokenizer.is_fast), verbose=False)
    ids, unknown = made["input_ids"], tokenizer.unk_token_id
    places = made.get("offset_mapping") or [[(0, 0)] * len(row) for row in ids]
    found: Counter[str] = Counter()
    for text, row, spans in zip(texts, ids, places, strict=True):
        found.update(text[start:end] for one, (start, end) in zip(row, spans, strict=True) if one == unknown and unknown is not None)
    return Coverage("pieces", sum(map(len, ids)), found)
