"""What a language model answers: the host's own ``generate``, the likeliest token each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from regraft.data import template
from regraft.data.turns import Turn
from regraft.surgery.language_head import speaking
from regraft.trunk.network import Network

AT_ONCE = 8
LONGEST = 256
"""Tokens of an answer, at most."""


def speak(network: Network, tokenizer: Any, prompts: Sequence[Sequence[Turn]], limit: int | None, *, longest: int = LONGEST) -> list[str]:
    """One answer to each of ``prompts``. ``limit``: tokens that the model reads, prompt and answer together; a prompt that leaves no room for an answer
    loses its beginning."""
    room = min(longest, limit // 2) if limit else longest
    asked = [_tokens(tokenizer, turns)[-(limit - room) if limit else 0 :] for turns in prompts]
    order = sorted(range(len(asked)), key=lambda place: len(asked[place]))
    found = [""] * len(asked)
    network.eval()
    head: Any = network.head
    with torch.inference_mode(), speaking(network.host, head) as host:
        for start in range(0, len(order), AT_ONCE):
            some = order[start : start + AT_ONCE]
            for place, text in zip(some, _answers(host, tokenizer, [asked[place] for place in some], room), strict=True):
                found[place] = text
    return found


def _tokens(tokenizer: Any, turns: Sequence[Turn]) -> list[int]:
    made: list[int] = tokenizer(template.prompt(turns, tokenizer), add_special_tokens=False, verbose=False)["input_ids"]
    return made or [_filler(tokenizer)]


def _filler(tokenizer: Any) -> int:
    return int(next(number for number in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if number is not None))


def _answers(host: Any, tokenizer: Any, rows: Sequence[Sequence[int]], room: int) -> list[str]:
    """Padded to the left, as a decoder goes on at the right."""
    width, filler = max(map(len, rows)), _filler(tokenizer)
    device = next(host.parameters()).device
    ids = torch.tensor([[filler] * (width - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    made = host.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=room, do_sample=False, pad_token_id=filler, eos_token_id=tokenizer.eos_token_id
    )
    return [text.strip() for text in tokenizer.batch_decode(made[:, width:], skip_special_tokens=True)]
