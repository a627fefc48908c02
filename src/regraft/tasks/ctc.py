"""From the characters of frames to text, in connectionist temporal classification (Graves et al. 2006): a path has a character or a blank for each frame;
repeats become one, then blanks go. The probability of a text is that of all its paths.

log probabilities (frames, k + 1), the blank last -> text as indices (length,)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

Frames = NDArray[np.floating]
Text = tuple[int, ...]
LEAST = math.log(1e-3)
"""A beam is not made longer by characters less likely than this in their frame."""
CHUNK = 64
NOTHING = -math.inf


def greedy(frames: Frames) -> Text:
    """The text of the likeliest path."""
    best, blank = frames.argmax(axis=1), frames.shape[1] - 1
    kept = best != blank
    kept[1:] &= best[1:] != best[:-1]
    return tuple(best[kept].tolist())


def beam(frames: Frames, width: int) -> list[Text]:
    """The ``width`` likeliest texts that prefix search finds, best first (Hannun et al. 2014, 1408.2873, without a language model)."""
    blank = frames.shape[1] - 1
    held: dict[Text, list[float]] = {(): [0.0, NOTHING]}
    for frame in frames.astype(np.float64):
        found: dict[Text, list[float]] = {}
        likely = [(character, float(frame[character])) for character in np.flatnonzero(frame[:blank] > LEAST).tolist()]
        for text, (ended, going) in held.items():
            whole = _sum(ended, going)
            _add(found, text, 0, whole + float(frame[blank]))
            if text:
                _add(found, text, 1, going + float(frame[text[-1]]))
            for character, more in likely:
                _add(found, (*text, character), 1, (ended if text and text[-1] == character else whole) + more)
        held = dict(sorted(found.items(), key=lambda item: -_sum(*item[1]))[:width])
    return list(held)


def _add(found: dict[Text, list[float]], text: Text, end: int, more: float) -> None:
    """``found``: text -> log probability of its paths that end in a blank (0), and in its last character (1)."""
    sums = found.setdefault(text, [NOTHING, NOTHING])
    sums[end] = _sum(sums[end], more)


def _sum(one: float, other: float) -> float:
    """log(exp(one) + exp(other))"""
    low, high = min(one, other), max(one, other)
    return high if low == NOTHING else high + math.log1p(math.exp(low - high))


def likeliest(frames: Frames, width: int) -> Text:
    """Of the texts in the beam and that of the likeliest path, the one of the highest probability."""
    candidates = list(dict.fromkeys([greedy(frames), *beam(frames, width)]))
    return candidates[int(log_probabilities([frames] * len(candidates), candidates).argmax())]


def log_probabilities(frames: Sequence[Frames], texts: Sequence[Text]) -> NDArray[np.float64]:
    """(n,) of each text, over all its paths through its frames; minus infinity where there is none."""
    found = []
    for start in range(0, len(texts), CHUNK):
        some, written = frames[start : start + CHUNK], texts[start : start + CHUNK]
        table = pad_sequence([torch.from_numpy(np.asarray(rows, np.float64)) for rows in some])
        longest = max(1, *map(len, written))
        targets = torch.tensor([[*text, *[0] * (longest - len(text))] for text in written], dtype=torch.long)
        found.append(_costs(table, targets, [len(rows) for rows in some], [len(text) for text in written]))
    return -torch.cat(found).numpy() if found else np.zeros(0)


def _costs(table: Tensor, targets: Tensor, frames: list[int], lengths: list[int]) -> Tensor:
    """``table`` (frames, B, k + 1)."""
    sizes = torch.tensor(frames, dtype=torch.long), torch.tensor(lengths, dtype=torch.long)
    return functional.ctc_loss(table, targets, *sizes, blank=table.shape[2] - 1, reduction="none")


def needed(text: Sequence[int] | NDArray[np.integer]) -> int:
    """Frames that the shortest path of a text has: one for each character, and a blank between two equal ones."""
    numbers = np.asarray(text)
    return len(numbers) + int((numbers[1:] == numbers[:-1]).sum())
