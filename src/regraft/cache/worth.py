"""Whether reading what is frozen will be cheaper than computing it, predicted from measured facts before anything is spent."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import perf_counter

import torch

from regraft.errors import StorageError

SAMPLE_BYTES = 64 << 20
STEP_OVERHEAD_S = 4e-4
"""What a step from the cache costs beyond its bytes: placeholders, index arithmetic. Measured: 0.2 to 0.4 ms."""
MEMORY_FRACTION = 0.5
"""Entries up to this part of the free memory are taken to stay in the system's page cache after the first reading."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes per second: gathered from memory, read from the disk, written to it (digests included)."""

    gather: float
    read: float
    write: float
    free_memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a phase would do with the cache. ``prefix_macs``: multiply-adds of the frozen prefix for one example; ``row_bytes``: what is
    stored of one on average; ``passes``: how often each row is needed (epochs, over all phases and plans that share the entries)."""

    num_rows: int
    row_bytes: float
    prefix_macs: float
    passes: int
    batch_size: int = 32
    is_present: bool = False

    @property
    def num_bytes(self) -> int:
        return round(self.num_rows * self.row_bytes)


@dataclass(frozen=True, slots=True)
class Worth:
    """The prediction: seconds with and without, and why it does not pay; "" where it does."""

    live_s: float
    cached_s: float
    num_bytes: int
    reason: str

    @property
    def pays(self) -> bool:
        return self.cached_s < self.live_s


def predict(work: Work, rates: Rates, *, gflops: float, limit_bytes: int) -> Worth:
    """Compare computing the prefix ``passes`` times with computing it once, storing it and reading it. ``gflops``: 10^9 operations (two to a
    multiply-add) that this machine reaches on such layers."""
    once_s = work.num_rows * work.prefix_macs * 2 / (gflops * 1e9)
    live_s = once_s * work.passes
    reads = work.passes if work.is_present else work.passes - 1
    rate = rates.gather if work.num_bytes <= MEMORY_FRACTION * rates.free_memory_bytes else min(rates.gather, rates.read)
    fill_s = 0.0 if work.is_present else once_s + work.num_bytes / rates.write
    steps = -(-work.num_rows // work.batch_size) * work.passes
    cached_s = fill_s + reads * work.num_bytes / rate + steps * STEP_OVERHEAD_S
    size = f"{work.num_bytes / 1e6:,.0f} MB"
    if work.num_bytes > limit_bytes and not work.is_present:
        return Worth(live_s, float("inf"), work.num_bytes, f"{size} would be over the limit of {limit_bytes / 1e6:,.0f} MB")
    if cached_s < live_s:
        return Worth(live_s, cached_s, work.num_bytes, "")
    return Worth(live_s, cached_s, work.num_bytes, f"reading {size} would take {cached_s:.1f} s, computing it anew {live_s:.1f} s")


@lru_cache(maxsize=8)
def rates(folder: Path) -> Rates:
    """Measured in about a fifth of a second, once per process and folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sample = torch.empty(SAMPLE_BYTES // 4).fill_(1.0).view(-1, 4096)
    started = perf_counter()
    sample.index_select(0, torch.randperm(len(sample)))
    gather = SAMPLE_BYTES / (perf_counter() - started)
    try:
        write, read = _disk(folder, sample.view(-1).view(torch.uint8).numpy().data)
    except OSError as error:
        raise StorageError(f"measure the disk under {folder}", str(error), "another --store, or train live") from error
    return Rates(gather, read, write, free_memory_bytes())


def free_memory_bytes() -> int:
    """Memory that can be had without pushing anything out, as the system counts it."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 if hasattr(os, "sysconf") else 4 << 30


def _disk(folder: Path, data: memoryview) -> tuple[float, float]:
    """(write, read) bytes per second of a temporary file, the page cache emptied of it in between where the system allows."""
    with tempfile.TemporaryFile(dir=folder) as file:
        started = perf_counter()
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        write = len(data) / (perf_counter() - started)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        started = perf_counter()
        while file.read(1 << 20):
            pass
        return write, len(data) / (perf_counter() - started)
