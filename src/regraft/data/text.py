"""Text as token ids: every example tokenised once, stored flat, padded only when a batch is asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, final

import numpy as np

from regraft import digest
from regraft.data.dataset import Split
from regraft.data.encoded import Encoded, Progress
from regraft.errors import RequestError
from regraft.spec import InputSpec

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 4096
NO_LIMIT = 1_000_000  # tokenizers without a limit state a huge number in its place


@final
class TextEncoded(Encoded):
    """Token ids of all rows in one int32 array; row i is ``tokens[offsets[i]:offsets[i + 1]]``."""

    def __init__(
        self,
        tokens: np.ndarray,
        offsets: np.ndarray,
        *,
        targets: np.ndarray,
        digests: list[str],
        cut: np.ndarray,
        tokenizer: Any,
        limit: int | None,
    ) -> None:
        self.pad_id, self.pad_left = pad_id(tokenizer), tokenizer.padding_side == "left"
        facts = {"kind": "text", "tokenizer": tokenizer_digest(tokenizer), "max_length": limit, "pad": [self.pad_id, self.pad_left]}
        super().__init__(targets, digests, digest.of_json(facts), lengths=np.diff(offsets).astype(np.int32), cut=cut)
        self.tokens, self.offsets = tokens, offsets

    def batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> dict[str, Tensor]:
        import torch

        chosen = np.asarray(rows, dtype=np.int64)
        starts, lengths = self.offsets[chosen, None], (self.offsets[chosen + 1] - self.offsets[chosen])[:, None]
        width = max(width, int(lengths.max(initial=1)))
        place = np.arange(width)[None, :] - ((width - lengths) if self.pad_left else 0)
        mask = (place >= 0) & (place < lengths)
        ids = np.full(mask.shape, self.pad_id, dtype=np.int64)
        ids[mask] = self.tokens[(starts + place)[mask]]
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}

    def wait(self) -> None:
        """All is there already: tokenising is quick."""


def encode_text(split: Split, spec: InputSpec, tokenizer: Any, *, max_length: int = 0, progress: Progress | None = None) -> TextEncoded:
    """Tokenise a split. A row longer than the limit keeps its first tokens and is counted in ``truncated``."""
    limit = length_limit(max_length, spec, tokenizer)
    texts, total = split.table.column("input"), len(split)
    pieces, lengths, cut = [], [], []
    for start in range(0, total, CHUNK):
        ids, long = tokenise(texts.slice(start, CHUNK).to_pylist(), tokenizer, limit)
        sizes = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
        pieces.append(np.fromiter(chain.from_iterable(ids), dtype=np.int32, count=int(sizes.sum())))
        lengths.append(sizes)
        cut.append(long)
        if progress is not None:
            progress(min(start + CHUNK, total), total)
    offsets = np.concatenate([[0], np.cumsum(_flat(lengths, np.int64))])
    return TextEncoded(
        _flat(pieces, np.int32), offsets, targets=split.targets, digests=split.digests, cut=_flat(cut, np.bool_), tokenizer=tokenizer, limit=limit
    )  # fmt: skip


def tokenise(texts: list[str], tokenizer: Any, limit: int | None) -> tuple[list[list[int]], np.ndarray]:
    """Token ids of each text, special tokens among them, and which texts were cut to ``limit`` tokens.

    Only the texts that are too long go through the tokenizer a second time: it alone knows which special tokens to keep.
    """
    plain = {"add_special_tokens": True, "return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
    ids = tokenizer(texts, **plain)["input_ids"]
    long = np.fromiter((limit is not None and len(row) > limit for row in ids), dtype=np.bool_, count=len(ids))
    places = np.flatnonzero(long)
    if len(places):
        shortened = tokenizer([texts[place] for place in places], truncation=True, max_length=limit, **plain)["input_ids"]
        for place, row in zip(places, shortened, strict=True):
            ids[place] = row
    return [row or [pad_id(tokenizer)] for row in ids], long  # a model needs one token at least, also for an empty text


def length_limit(max_length: int, spec: InputSpec, tokenizer: Any) -> int | None:
    """Tokens per row: what was asked for (0: as many as the model reads); more than the model reads is refused."""
    most = spec.max_length or (tokenizer.model_max_length if tokenizer.model_max_length < NO_LIMIT else None)
    if max_length and most and max_length > most:
        raise RequestError(f"max_length={max_length}", f"this model reads at most {most} tokens", f"max_length={most} or less")
    if max_length < 0:
        raise RequestError(f"max_length={max_length}", "a length is not negative", "0 for as many tokens as the model reads")
    return max_length or most


def pad_id(tokenizer: Any) -> int:
    """The id that fills short rows; decoders have no such token, theirs is the end-of-text one (the mask hides it)."""
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((number for number in known if number is not None), 0)


def tokenizer_digest(tokenizer: Any) -> str:
    """Hash of what turns a text into ids: vocabulary, normaliser, special tokens; not of the truncation and padding set last."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return digest.of_json({"class": type(tokenizer).__name__, "vocabulary": tokenizer.get_vocab()})
    document = json.loads(backend.to_str())
    return digest.of_json({**document, "truncation": None, "padding": None})


def _flat(pieces: list[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=dtype)
