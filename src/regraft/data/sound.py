"""Sounds as 16-bit samples: each file decoded, mixed down and resampled once, by worker threads, while the caller already goes on.

file -> mean of its channels -> resampled to the model's rate -> int16, one after the other
batch(rows) -> input_values (B, T) float in -1..1, attention_mask (B, T): 1 where a clip has samples
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from regraft import digest
from regraft.data.dataset import Split
from regraft.data.encoded import IGNORE, Encoded, Progress
from regraft.data.image import MEMORY_BYTES, cores, roomy_array, workers
from regraft.data.listen import library, reason_of
from regraft.errors import DataError, RequestError
from regraft.spec import InputSpec

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 32
GRAIN = 640
"""Lengths are rounded up to so many samples (40 ms at 16 kHz), with silence that the mask leaves out: few different lengths, and places that a mask of
samples and one of frames agree on."""
FULL = 32768.0


@final
class SoundEncoded(Encoded):
    """``samples``: int16, all clips one after the other; clip i is ``samples[starts[i] : starts[i] + held[i]]``, and ``lengths`` are ``held`` rounded up to
    ``GRAIN``."""

    most_together = 1 << 20

    def __init__(
        self, split: Split, rate: int, held: np.ndarray, *, cut: np.ndarray, samples: np.ndarray, progress: Progress | None
    ) -> None:
        lengths = (-(-held // GRAIN) * GRAIN).astype(np.int32)
        facts = {"kind": "audio", "rate": rate, "grain": GRAIN, "most": int(held[cut][0]) if cut.any() else None}
        super().__init__(split.targets, split.digests, digest.of_json(facts), lengths=lengths, cut=cut)
        self.samples, self.held, self.rate = samples, held, rate
        self.starts = np.cumsum(held) - held
        self._paths, self._progress = split.inputs, progress
        self._done = np.zeros(len(split), dtype=np.bool_)
        self._failure: DataError | None = None
        me = weakref.ref(self)
        self._jobs = [workers().apply_async(_decode_chunk, (me, start)) for start in range(0, len(split), CHUNK)]

    def batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> dict[str, Tensor]:
        import torch

        chosen = np.asarray(rows, dtype=np.int64)
        self._decode(chosen)
        assert self.lengths is not None
        width = max(width, int(self.lengths[chosen].max(initial=GRAIN)))
        values = np.zeros((len(chosen), width), dtype=np.float32)
        for place, row in enumerate(chosen):
            np.divide(self.samples[self.starts[row] : self.starts[row] + self.held[row]], FULL, out=values[place, : self.held[row]])
        mask = np.arange(width) < self.held[chosen, None]
        return {"input_values": torch.from_numpy(values), "attention_mask": torch.from_numpy(mask.astype(np.int64))}

    def target_batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> Tensor:
        import torch

        chosen = [self.targets[row] for row in np.asarray(rows, dtype=np.int64)]
        if self.targets.dtype != object:
            return super().target_batch(rows)
        known = [target[target >= 0] for target in chosen]  # a character that is no class cannot be taught
        found = np.full((len(known), max([1, *map(len, known)])), IGNORE, dtype=np.int64)
        for place, target in enumerate(known):
            found[place, : len(target)] = target
        return torch.from_numpy(found)

    def wait(self) -> None:
        for job in self._jobs:
            job.get()

    def decode_chunk(self, start: int) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            self._decode(np.arange(start, min(start + CHUNK, len(self))))
        except DataError as error:
            self._failure = error
            raise
        if self._progress is not None:
            self._progress(int(self._done.sum()), len(self))

    def _decode(self, rows: np.ndarray) -> None:
        if self._failure is not None:
            raise self._failure
        for row in rows[~self._done[rows]]:
            count = int(self.held[row])
            found = resampled(*read(self._paths[row]), self.rate)[:count]
            self.samples[self.starts[row] : self.starts[row] + count] = np.clip(np.rint(found * FULL), -FULL, FULL - 1)
            self._done[row] = True


def _decode_chunk(owner: weakref.ref[SoundEncoded], start: int) -> None:
    """One job; it does nothing once nobody holds the result any more."""
    encoded = owner()
    if encoded is not None:
        encoded.decode_chunk(start)


def encode_sounds(
    split: Split,
    spec: InputSpec,
    *,
    max_length: int = 0,
    progress: Progress | None = None,
    memory_bytes: int = MEMORY_BYTES,
    folder: Path | None = None,
) -> SoundEncoded:
    """Start decoding a split. A clip longer than ``max_length`` samples (0: than the model hears) keeps its beginning, and is counted in ``truncated``."""
    if not spec.sample_rate:
        raise RequestError("encode sounds", "the model states no sample rate", 'InputSpec(kind="audio", sample_rate=16_000)')
    most = length_limit(max_length, spec)
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        whole = np.array(list(pool.map(lambda path: resampled_length(*header(path), spec.sample_rate or 1), split.inputs)), np.int64)
    held = np.minimum(whole, most) if most else whole
    samples = roomy_array((int(held.sum()),), memory_bytes=memory_bytes, folder=folder, dtype=np.int16, setting="max_length")
    return SoundEncoded(split, spec.sample_rate, held, cut=held < whole, samples=samples, progress=progress)


def length_limit(max_length: int, spec: InputSpec) -> int:
    """Samples of a clip, 0 for all of them: what was asked for, or what the model hears; more than that is refused."""
    if max_length < 0:
        raise RequestError(f"max_length={max_length}", "a length is not negative", "0 for as many samples as the model hears")
    if spec.max_length and max_length > spec.max_length:
        found = f"this model hears {spec.max_length:,} samples at most"
        raise RequestError(f"max_length={max_length}", found, f"max_length={spec.max_length} or less")
    return max_length or spec.max_length or 0


def header(path: str) -> tuple[int, int]:
    """(samples of a channel, rate). Raises ``DataError`` that names the file where it is no sound."""
    return _opened(path, lambda file: (int(file.frames), int(file.samplerate)))


def read(path: str) -> tuple[np.ndarray, int]:
    """(T,) float32, the mean of the channels, and the rate. Raises ``DataError`` that names the file where it cannot be read as a whole."""

    def mixed(file: Any) -> tuple[np.ndarray, int]:
        samples = file.read(dtype="float32", always_2d=True)
        if len(samples) < file.frames or not len(samples):
            raise _unreadable(path, f"{len(samples):,} of {int(file.frames):,} samples can be read")
        return np.nan_to_num(samples.mean(axis=1), posinf=0.0, neginf=0.0), int(file.samplerate)

    return _opened(path, mixed)


def _opened(path: str, use: Any) -> Any:
    soundfile = library()
    try:
        with soundfile.SoundFile(path) as file:
            return use(file)
    except (soundfile.LibsndfileError, OSError) as error:
        raise _unreadable(path, reason_of(error)) from error


def _unreadable(path: str, found: str) -> DataError:
    return DataError(f"read the sound {path}", found, "`regraft check` lists every broken file; repair or remove it")


def resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """``samples`` (T,) at ``rate``, at ``wanted``: a polyphase filter that lets nothing through which the new rate cannot hold."""
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly

    shared = gcd(rate, wanted)
    found: np.ndarray = resample_poly(samples, wanted // shared, rate // shared)
    return found.astype(np.float32)


def resampled_length(count: int, rate: int, wanted: int) -> int:
    """How many samples ``resampled`` makes of ``count``."""
    shared = gcd(rate, wanted)
    return -(-count * (wanted // shared) // (rate // shared))
