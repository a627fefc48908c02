"""Text as token ids: every example tokenised once, stored flat, padded only when a batch is asked for.

one text      [CLS] where is my card [SEP]
a pair        [CLS] it rains [SEP] the street is wet [SEP]        token types 0 ... 0 1 ... 1, for models that have them
words         [CLS] Jo ##han lives [SEP]                          the tag of a word stands at its first piece: - B - O -
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, final
from weakref import WeakKeyDictionary

import numpy as np

from regraft import digest
from regraft.data.dataset import Split
from regraft.data.encoded import IGNORE, Encoded, Progress
from regraft.data.tokenise import Tokenised, pad_id, tokenise, tokenise_words
from regraft.errors import RequestError
from regraft.spec import InputSpec

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 4096
NO_LIMIT = 1_000_000  # tokenizers without a limit state a huge number in its place


@dataclass(frozen=True, eq=False, slots=True)
class Flat:
    """Rows of different lengths one after the other: row i of ``tokens`` is ``tokens[offsets[i]:offsets[i + 1]]``; ``types`` (token types) and
    ``tags`` (of each token) lie the same way, None where there are none; so do ``segments``: numbers from 1 of the parts of a row that do not see each other."""

    tokens: np.ndarray
    offsets: np.ndarray
    types: np.ndarray | None = None
    tags: np.ndarray | None = None
    segments: np.ndarray | None = None


@final
class TextEncoded(Encoded):
    """Token ids of all rows in one int32 array (:class:`Flat`)."""

    def __init__(
        self,
        flat: Flat,
        *,
        targets: np.ndarray,
        digests: Iterable[str],
        cut: np.ndarray,
        tokenizer: Any,
        limit: int | None,
        also: Mapping[str, Any] | None = None,
    ) -> None:
        """``also``: what else was done to the texts (JSON)."""
        self.pad_id, self.pad_left = pad_id(tokenizer), tokenizer.padding_side == "left"
        facts = {"kind": "text", "max_length": limit, "pad": [self.pad_id, self.pad_left], **(also or {})}
        super().__init__(
            targets,
            digests,
            lambda: digest.of_json({**facts, "tokenizer": tokenizer_digest(tokenizer)}),
            lengths=np.diff(flat.offsets).astype(np.int32),
            cut=cut,
        )
        self.tokens, self.offsets, self.types, self.tags, self.segments = flat.tokens, flat.offsets, flat.types, flat.tags, flat.segments
        if flat.tags is not None:
            has_target = np.concatenate([[0], np.cumsum(flat.tags != IGNORE)])
            self.learned = np.diff(has_target[flat.offsets]).astype(np.int32)

    def batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> dict[str, Tensor]:
        import torch

        mask, places = self._layout(rows, width)
        laid = {"input_ids": self._laid(self.tokens, mask, places, self.pad_id), "attention_mask": mask.astype(np.int64)}
        if self.types is not None:
            laid["token_type_ids"] = self._laid(self.types, mask, places, 0)
        if self.segments is not None:
            laid["segments"] = self._laid(self.segments, mask, places, 0)
        return {name: torch.from_numpy(array) for name, array in laid.items()}

    def target_batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> Tensor:
        import torch

        if self.tags is None:
            return super().target_batch(rows)
        mask, places = self._layout(rows, width)
        return torch.from_numpy(self._laid(self.tags, mask, places, IGNORE))

    def _layout(self, rows: Sequence[int] | np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """(B, L) where there are tokens, and for each of these, in order, its place in the flat arrays."""
        chosen = np.asarray(rows, dtype=np.int64)
        starts, lengths = self.offsets[chosen, None], (self.offsets[chosen + 1] - self.offsets[chosen])[:, None]
        width = max(width, int(lengths.max(initial=1)))
        place = np.arange(width)[None, :] - ((width - lengths) if self.pad_left else 0)
        mask = (place >= 0) & (place < lengths)
        return mask, (starts + place)[mask]

    @staticmethod
    def _laid(flat: np.ndarray, mask: np.ndarray, places: np.ndarray, fill: int) -> np.ndarray:
        table = np.full(mask.shape, fill, dtype=np.int64)
        table[mask] = flat[places]
        return table

    def wait(self) -> None:
        """All is there already: tokenising is quick."""


def encode_text(split: Split, spec: InputSpec, tokenizer: Any, *, max_length: int = 0, progress: Progress | None = None) -> TextEncoded:
    """Tokenise a split. A row longer than the limit keeps its first tokens (of a pair, the longer text gives way) and is counted in ``truncated``."""
    limit = length_limit(max_length, spec, tokenizer)
    texts, targets, total, found = split.table.column("input"), split.targets, len(split), Pieces()
    for start in range(0, total, CHUNK):
        chunk = texts.slice(start, CHUNK).to_pylist()
        if split.parts == "words":
            found.add(tokenise_words(chunk, list(targets[start : start + CHUNK]), tokenizer, limit))
        else:
            found.add(tokenise(chunk, tokenizer, limit, pairs=split.parts == "pair"))
        if progress is not None:
            progress(min(start + CHUNK, total), total)
    offsets = np.concatenate([[0], np.cumsum(_flat(found.lengths, np.int64))])
    types = _flat(found.types, np.int32) if found.types else None
    tags = _flat(found.tags, np.int32) if split.parts == "words" else None
    return TextEncoded(
        Flat(_flat(found.tokens, np.int32), offsets, types, tags), targets=targets, digests=split.digests,
        cut=_flat(found.cut, np.bool_), tokenizer=tokenizer, limit=limit,
    )  # fmt: skip


@dataclass(slots=True)
class Pieces:
    """Flat arrays of the chunks so far."""

    tokens: list[np.ndarray] = field(default_factory=list)
    types: list[np.ndarray] = field(default_factory=list)
    tags: list[np.ndarray] = field(default_factory=list)
    lengths: list[np.ndarray] = field(default_factory=list)
    cut: list[np.ndarray] = field(default_factory=list)

    def add(self, chunk: Tokenised) -> None:
        sizes = np.fromiter(map(len, chunk.ids), dtype=np.int64, count=len(chunk.ids))
        self.lengths.append(sizes)
        self.cut.append(chunk.cut)
        for flat, rows in ((self.tokens, chunk.ids), (self.types, chunk.types), (self.tags, chunk.tags)):
            if rows is not None:
                flat.append(np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(sizes.sum())))


def length_limit(max_length: int, spec: InputSpec, tokenizer: Any) -> int | None:
    """Tokens per row: what was asked for (0: as many as the model reads); more than the model reads is refused."""
    most = spec.max_length or (tokenizer.model_max_length if tokenizer.model_max_length < NO_LIMIT else None)
    if max_length and most and max_length > most:
        raise RequestError(f"max_length={max_length}", f"this model reads at most {most} tokens", f"max_length={most} or less")
    if max_length < 0:
        raise RequestError(f"max_length={max_length}", "a length is not negative", "0 for as many tokens as the model reads")
    return max_length or most


_DIGESTS: WeakKeyDictionary[Any, tuple[int, str]] = WeakKeyDictionary()
"""Tokenizer -> how many tokens it had when it was hashed, and the hash: its vocabulary only grows."""


def tokenizer_digest(tokenizer: Any) -> str:
    """Hash of what turns a text into ids: vocabulary, normaliser, special tokens; not of the truncation and padding set last."""
    size, known = _DIGESTS.get(tokenizer, (0, ""))
    if size != len(tokenizer):
        known = _hashed(tokenizer)
        _DIGESTS[tokenizer] = (len(tokenizer), known)
    return known


def _hashed(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return digest.of_json({"class": type(tokenizer).__name__, "vocabulary": tokenizer.get_vocab()})
    document = json.loads(backend.to_str())
    return digest.of_json({**document, "truncation": None, "padding": None})


def _flat(pieces: list[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=dtype)
