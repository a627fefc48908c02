"""A few seconds of a sound file, small enough to stand in a page."""

from __future__ import annotations

import base64
import io

import numpy as np

from regraft.data.listen import library
from regraft.data.sound import read, resampled

RATE, SECONDS = 8_000, 3


def snippet(path: str) -> str:
    """The beginning of the sound at ``path`` as a WAV of 8 kHz (16 kB a second), in a data URI."""
    samples = resampled(*read(path), RATE)[: RATE * SECONDS]
    buffer = io.BytesIO()
    library().write(buffer, np.clip(samples, -1.0, 1.0), RATE, format="WAV", subtype="PCM_16")
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()
