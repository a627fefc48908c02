"""Sound files: are they whole, what do they hold. Free of torch; samples for training come from ``encode``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from regraft import digest
from regraft.errors import DataError

SILENT_PEAK = 1e-3
"""A clip that never rises above this (of 1) is silence: 60 dB below the loudest that a file can hold."""
MANY_RATES = 4


@dataclass(frozen=True, slots=True)
class Sound:
    """One sound file. ``fault`` is empty for a readable one; ``digest``: of the file's bytes; ``rate`` Hz; ``channels``; ``frames``: samples of each
    channel. Filled when all was decoded: ``content``, the digest of rate and samples, equal for equal sound in whatever kind of file, and ``peak``
    (0..1)."""

    fault: str
    digest: str = ""
    rate: int = 0
    channels: int = 0
    frames: int = 0
    content: str = ""
    peak: float = 1.0

    @property
    def seconds(self) -> float:
        return self.frames / self.rate if self.rate else 0.0


def hear(path: Path) -> Sound:
    """The header: cheap, finds what is no sound, empty or without a single sample."""
    return _heard(path, whole=False)


def examine(path: Path) -> Sound:
    """Everything: every sample is decoded."""
    return _heard(path, whole=True)


def _heard(path: Path, *, whole: bool) -> Sound:
    soundfile = library()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Sound("no such file")
    except OSError as error:
        return Sound(f"cannot be read: {error.strerror}")
    if not data:
        return Sound("0 bytes")
    try:
        with soundfile.SoundFile(BytesIO(data)) as file:
            return _described(file, digest.of_bytes(data), whole)
    except soundfile.LibsndfileError as error:
        return Sound(f"not a sound, or a damaged one: {reason_of(error)} The file begins with {data[:12]!r}")


def _described(file: Any, name: str, whole: bool) -> Sound:
    rate, channels, frames = int(file.samplerate), int(file.channels), int(file.frames)
    if frames <= 0:
        return Sound("zero length: a header and no samples")
    if not whole:
        return Sound("", name, rate, channels, frames)
    samples = file.read(dtype="float32", always_2d=True)
    if len(samples) < frames:
        return Sound(f"truncated: {len(samples):,} of {frames:,} samples can be read")
    if not np.isfinite(samples).all():
        return Sound("samples that are no numbers (NaN or infinity)")
    content = digest.of_bytes(b"%d" % rate, np.ascontiguousarray(samples).tobytes())
    return Sound("", name, rate, channels, frames, content, float(np.abs(samples).max()))


def said_of(sounds: Sequence[Sound]) -> list[str]:
    """What the readable ones have in common, in one sentence: rates, channels, lengths."""
    whole = [sound for sound in sounds if not sound.fault]
    if not whole:
        return []
    rates = Counter(sound.rate for sound in whole)
    named = ", ".join(f"{rate:,} Hz" + (f" ({count:,})" if len(rates) > 1 else "") for rate, count in rates.most_common(MANY_RATES))
    several = sum(sound.channels > 1 for sound in whole)
    mixed = f"; {several:,} have several channels, which are averaged" if several else ""
    lengths = [sound.seconds for sound in whole]
    return [f"Clips are {min(lengths):.2f} to {max(lengths):.2f} s long, at {named}{', ...' if len(rates) > MANY_RATES else ''}{mixed}."]


def library() -> Any:
    """The module ``soundfile``: WAV, FLAC, OGG, MP3 and more, by libsndfile."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is there, the library that it calls is not
        raise DataError("read sound files", f"soundfile does not load: {error}", "pip install soundfile") from error
    return soundfile


def reason_of(error: Any) -> str:
    """libsndfile's own words, without the memory address that stands before them."""
    return str(getattr(error, "error_string", error)).strip()
