"""What this machine can do, measured in a moment and remembered for the process: device, precision, memory.

bf16 is several times faster than fp32 on processors that multiply it in hardware, and several times slower on those that only
imitate it; so it is timed, not looked up.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

SIDE = 768  # of the square matrices that are multiplied: the order of a transformer's layers
CPU_SIDE = 512  # smaller ones fill a processor already
GLANCE, IMITATED = 96, 0.25  # a product so small tells whether bf16 is imitated: it then runs at less than so much of the rate of fp32
LEAST_S = 0.01  # a rate is the best of products timed for so long
UPDATED = 2 << 20  # parameters that the timed update moves
WORTH_IT = 1.2  # a lower precision is taken where it is at least so much faster


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """``device``: "cpu", "cuda" or "mps". ``memory_bytes``: of the device. ``precision``: the fastest that trains without loss
    scaling. Rates are 1e9 floating-point operations per second of a matrix product; 0 where a precision is not known there.
    ``update_ns``: nanoseconds that one parameter's update takes."""

    device: Literal["cpu", "cuda", "mps"]
    num_threads: int
    memory_bytes: int
    precision: Literal["fp32", "bf16"]
    fp32_gflops: float
    bf16_gflops: float
    update_ns: float

    @property
    def gflops(self) -> float:
        """The rate of a matrix product in the chosen precision."""
        return self.bf16_gflops if self.precision == "bf16" else self.fp32_gflops


@cache
def measure() -> Machine:
    """Time the best device here; the second call costs nothing."""
    device: Literal["cpu", "cuda", "mps"] = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    update_ns = _update_ns(device)
    with torch.inference_mode(), torch.random.fork_rng():
        fp32, bf16 = _matmul_gflops(device, torch.float32), _bf16_gflops(device)
        precision: Literal["fp32", "bf16"] = "bf16" if bf16 > WORTH_IT * fp32 else "fp32"
    return Machine(
        device=device,
        num_threads=torch.get_num_threads(),
        memory_bytes=memory_bytes(device),
        precision=precision,
        fp32_gflops=round(fp32, 1),
        bf16_gflops=round(bf16, 1),
        update_ns=update_ns,
    )


def memory_bytes(device: str = "cpu") -> int:
    """Memory that a process may use: of the accelerator, else of the machine or of the container that it runs in."""
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    if device == "mps":
        return torch.mps.recommended_max_memory()
    return min([_physical_bytes(), *_container_limits()])


def hand_back() -> None:
    """Give the system what was freed: glibc keeps tens of megabytes behind for what may come, and what comes is seldom of the same size. Elsewhere nothing."""
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)


@cache
def _c_library() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def _physical_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        import psutil

        return psutil.virtual_memory().total


def _container_limits() -> list[int]:
    files = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
    told = [file.read_text().strip() for file in files if file.is_file()]
    return [int(text) for text in told if text.isdigit()]


def _bf16_gflops(device: str) -> float:
    """A large product takes most of a second where it is imitated, so that a small one says so first."""
    if device == "cpu":
        fp32, bf16 = (_matmul_gflops(device, dtype, GLANCE) for dtype in (torch.float32, torch.bfloat16))
        if bf16 < IMITATED * fp32:
            return bf16
    return _matmul_gflops(device, torch.bfloat16)


def _matmul_gflops(device: str, dtype: torch.dtype, side: int = 0) -> float:
    side = side or (CPU_SIDE if device == "cpu" else SIDE)
    try:
        left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        best = _best_s(lambda: left @ right, device)
    except (RuntimeError, TypeError):  # a device that does not know the dtype
        return 0.0
    return 2 * side**3 / best / 1e9


def _update_ns(device: str) -> float:
    """Clipping and fused AdamW, on more parameters than a processor's cache holds."""
    parameter = nn.Parameter(torch.zeros(UPDATED, device=device))
    parameter.grad = torch.zeros_like(parameter)
    optimizer = torch.optim.AdamW([parameter], lr=0.0, fused=device != "mps")

    def work() -> Tensor:
        norm = nn.utils.clip_grad_norm_([parameter], 1.0)
        optimizer.step()
        return norm

    return _best_s(work, device) / UPDATED * 1e9


def _best_s(work: Callable[[], Tensor], device: str) -> float:
    """Seconds of the fastest call, after one for warming up."""
    work()
    best, until = float("inf"), time.perf_counter() + LEAST_S
    while time.perf_counter() < until:
        _wait(device)
        began = time.perf_counter()
        work()
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return best


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()
