"""Random changes of token ids by whole words: leaving words out, exchanging them. Special tokens and padding stay.

A vocabulary says by itself which ids begin a word, so nothing has to travel with the batch: WordPiece marks the pieces that
continue one ("##ing"), SentencePiece and byte-level BPE mark the pieces that begin one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.data.tokenise import pad_id
from regraft.errors import RequestError

SPECIAL, INSIDE, START = 0, 1, 2
WORD_MARKS = ("▁", "Ġ")  # SentencePiece, byte-level BPE
MARK_SHARE = 0.01  # a mark that begins a hundredth of the vocabulary is in use


def change_words(
    inputs: Mapping[str, Tensor], changes: Mapping[str, float], chance: np.random.Generator, *, tokenizer: Any
) -> dict[str, Tensor]:
    """``word_swap``, then ``word_dropout``, on ``input_ids`` and ``attention_mask`` (B, L); at least one word of a row is kept."""
    if tokenizer is None:
        raise RequestError(
            "word_dropout or word_swap", "no tokenizer that tells words apart", "Augmentation.of(pairs, 'text', tokenizer=trunk.tokenizer)"
        )
    ids, real = inputs["input_ids"], inputs["attention_mask"].bool()
    units, is_word, is_movable = word_units(ids, real, word_table(tokenizer).to(ids.device))
    draws = torch.from_numpy(chance.random((2, *is_word.shape))).to(ids.device)
    places = swapped(is_movable, draws[0] < changes.get("word_swap", 0.0), torch.from_numpy(chance.random(is_word.shape)).to(ids.device))
    dropped = is_word & (draws[1] < changes.get("word_dropout", 0.0)) & ~_keeper(is_word, draws[1])
    return _rearrange(ids, real, order=places.gather(1, units), gone=dropped.gather(1, units), tokenizer=tokenizer) | {
        name: tensor for name, tensor in inputs.items() if name not in ("input_ids", "attention_mask")
    }


def word_units(ids: Tensor, real: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cut rows into units, a word or a single special token each: the unit of each token, which units are words, and which of
    these may move, all (B, L). The first word of a byte-level text lacks the mark of a beginning: elsewhere it would grow
    onto its neighbour."""
    roles = torch.where(real, table[ids], SPECIAL)
    before = torch.cat([torch.full_like(roles[:, :1], SPECIAL), roles[:, :-1]], dim=1)
    begins = (roles != INSIDE) | (before == SPECIAL)
    begins[:, 0] = True
    units = begins.cumsum(1) - 1
    is_word = torch.zeros_like(real).scatter_(1, units, roles != SPECIAL)
    is_movable = torch.zeros_like(units).scatter_reduce_(1, units, (roles == START).long(), "amax").bool()
    return units, is_word, is_movable


def swapped(is_movable: Tensor, drawn: Tensor, ranks: Tensor) -> Tensor:
    """The place of each unit (B, U) after the drawn words have been dealt out anew over their own places, by ``ranks`` in 0..1."""
    here = torch.arange(is_movable.shape[1], device=is_movable.device).expand(is_movable.shape)
    moving = is_movable & drawn
    last = here + is_movable.shape[1]
    dealt = torch.where(moving, ranks, last.to(ranks)).argsort(1)
    return torch.empty_like(here).scatter_(1, dealt, torch.where(moving, here, last).argsort(1))


def _keeper(is_word: Tensor, draws: Tensor) -> Tensor:
    """The one word of each row that stays whatever happens: the one with the highest draw."""
    best = torch.where(is_word, draws, -1.0).argmax(1, keepdim=True)
    return torch.zeros_like(is_word).scatter_(1, best, True)


def _rearrange(ids: Tensor, real: Tensor, *, order: Tensor, gone: Tensor, tokenizer: Any) -> dict[str, Tensor]:
    """Tokens sorted by ``order``, those ``gone`` and the padding moved to the padding side and cut off where all rows have them."""
    left = tokenizer.padding_side == "left"
    kept = real & ~gone
    aside = -1 if left else ids.shape[1]
    by_place = torch.where(kept, order, aside).argsort(dim=1, stable=True)
    mask = kept.gather(1, by_place)
    result = ids.gather(1, by_place).masked_fill(~mask, pad_id(tokenizer))
    width = max(1, int(mask.sum(1).max()))
    span = slice(ids.shape[1] - width, None) if left else slice(0, width)
    return {"input_ids": result[:, span].contiguous(), "attention_mask": mask[:, span].long()}


@lru_cache(maxsize=8)
def word_table(tokenizer: Any) -> Tensor:
    """Role of each id of the vocabulary: SPECIAL, START of a word, or INSIDE one (by tokenizer identity; made once)."""
    tokens = [str(token) for token in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))]
    continued = getattr(getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None), "continuing_subword_prefix", None)
    marks = tuple(mark for mark in WORD_MARKS if sum(token.startswith(mark) for token in tokens) > MARK_SHARE * len(tokens))
    if continued:
        starts = [not token.startswith(continued) for token in tokens]
    else:
        starts = [token.startswith(marks) if marks else True for token in tokens]
    table = torch.where(torch.tensor(starts), START, INSIDE)
    table[torch.tensor(sorted(_special_ids(tokenizer)), dtype=torch.long)] = SPECIAL
    return table


def _special_ids(tokenizer: Any) -> set[int]:
    """Ids that are no part of the text. The unknown token stands for a word, unless it has a second duty (GPT-2's ends the text)."""
    duties = [getattr(tokenizer, f"{duty}_token_id") for duty in ("bos", "eos", "cls", "sep", "pad", "mask")]
    return set(tokenizer.all_special_ids) - ({tokenizer.unk_token_id} - set(duties))
