"""Where randomness comes from: every random draw of a step is a function of the plan's seed and the step's place.

Nothing is carried from step to step, so a run can go on from any step without a saved generator.
"""

from __future__ import annotations

import hashlib

import torch


def seed_of(seed: int, *place: int | str) -> int:
    """A 63-bit seed for one ``place``: (phase, step), or a name and a number. Different places have unrelated seeds."""
    text = ":".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed the generators that dropout draws from: the CPU's, and the device's own."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
