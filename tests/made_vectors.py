"""Small files of word vectors for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def numbers(count: int, dims: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dims)).astype(np.float32)


def glove(path: Path, words: list[str], dims: int = 8, *, header: bool = False) -> Path:
    """A file in the text form of GloVe, or with ``header`` in that of word2vec."""
    lines = [f"{word} {' '.join(f'{number:.4f}' for number in row)}" for word, row in zip(words, numbers(len(words), dims), strict=True)]
    path.write_text("\n".join([*([f"{len(words)} {dims}"] if header else []), *lines]) + "\n", encoding="utf-8")
    return path
