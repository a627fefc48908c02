"""Random changes of batches of sound: ``input_values`` (B, T) with ``attention_mask`` (B, T), in the order place, noise, holes.

They act on samples, before any model has made a spectrum of them, so that every model hears them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

LOWEST, HIGHEST_SHARE = 0.005, 0.95
"""Of the frequencies that a sampled clip can hold: where bands begin and end."""
WIDEST_BAND, LONGEST_SPAN = 0.15, 0.1
"""Of the (logarithmic) range of frequencies, and of the length of a clip: what one hole takes at most."""


def change_waves(inputs: Mapping[str, Tensor], changes: Mapping[str, float], chance: np.random.Generator) -> dict[str, Tensor]:
    """Apply ``changes`` (name -> strength); shapes and masks stay as they are, and what lies behind the end of a clip stays zero."""
    samples, mask = inputs["input_values"], inputs["attention_mask"].bool()
    lengths = mask.sum(1)
    if "shift" in changes:
        samples = shift(samples, lengths, changes["shift"], chance) * mask
    if "noise" in changes:
        samples = noise(samples, lengths, changes["noise"], chance) * mask
    if "spec_augment" in changes:
        samples = spec_augment(samples, lengths, int(changes["spec_augment"]), chance) * mask
    return {**inputs, "input_values": samples}


def shift(samples: Tensor, lengths: Tensor, most: float, chance: np.random.Generator) -> Tensor:
    """Earlier or later by ``most`` of the clip's own length at most; silence comes in, and what leaves is lost."""
    result = torch.zeros_like(samples)
    width = samples.shape[1]
    moves = np.rint(chance.uniform(-most, most, len(samples)) * lengths.cpu().numpy()).astype(int)
    for row, moved in enumerate(moves):
        if moved >= 0:
            result[row, moved:] = samples[row, : width - moved]
        else:
            result[row, :moved] = samples[row, -moved:]
    return result


def noise(samples: Tensor, lengths: Tensor, most: float, chance: np.random.Generator) -> Tensor:
    """White noise whose power is drawn for each clip: up to ``most`` times the clip's own loudness (the root of the mean square)."""
    loudness = (samples.square().sum(1) / lengths.clamp(min=1)).sqrt()
    scale = torch.from_numpy(chance.uniform(0, most, len(samples)).astype(np.float32)).to(samples) * loudness
    drawn = chance.standard_normal(samples.shape, dtype=np.float32)
    return samples + torch.from_numpy(drawn).to(samples) * scale[:, None]


def spec_augment(samples: Tensor, lengths: Tensor, holes: int, chance: np.random.Generator) -> Tensor:
    """``holes`` bands of frequencies and as many spans of time are left out of each clip (Park et al. 2019, 1904.08779)."""
    width = samples.shape[1]
    spectrum = torch.fft.rfft(samples)
    octaves = np.log(HIGHEST_SHARE / LOWEST)
    for row in range(len(samples)):
        for size, start in zip(chance.random(holes) * WIDEST_BAND, chance.random(holes), strict=True):
            low, high = (LOWEST * np.exp(octaves * place) for place in (start * (1 - size), start * (1 - size) + size))
            spectrum[row, int(low * spectrum.shape[1]) : int(high * spectrum.shape[1])] = 0
    result = torch.fft.irfft(spectrum, width)
    for row, length in enumerate(lengths.tolist()):
        for size, start in zip(chance.random(holes) * LONGEST_SPAN, chance.random(holes), strict=True):
            first = int(start * (1 - size) * length)
            result[row, first : first + int(size * length)] = 0
    return result
