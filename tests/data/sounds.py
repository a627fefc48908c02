"""Small sound files made up for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def tone(seconds: float = 0.2, *, hertz: float = 440.0, rate: int = RATE, seed: int = 0, channels: int = 1) -> np.ndarray:
    """(T,) or (T, channels): a tone with a little noise, so that no two seeds are equal."""
    count = round(seconds * rate)
    rng = np.random.default_rng(seed)
    wave = 0.4 * np.sin(2 * np.pi * hertz * np.arange(count) / rate) + 0.01 * rng.standard_normal(count)
    return wave if channels == 1 else np.stack([wave * (1 + place) / channels for place in range(channels)], axis=1)


def clip(path: Path, wave: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate)
    return path


def folders(root: Path, per_class: int = 12, names: tuple[str, ...] = ("high", "low"), ending: str = ".wav") -> Path:
    """Class folders of tones, a pitch for each class."""
    for index, name in enumerate(names):
        for i in range(per_class):
            clip(root / name / f"{i}{ending}", tone(0.1 + 0.01 * i, hertz=1200.0 / (1 + index), seed=100 * index + i))
    return root
