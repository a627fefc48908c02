"""From samples to a log-mel spectrogram, as a module: what a small audio network looks at, and the same for a clip alone as for one padded in a batch.

samples (B, T) -> frames of 25 ms every 10 -> power spectrum -> mel bands -> log10 below the clip's own loudest -> (B, 1, bands, frames), 0 to 2
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

RANGE = 6.0
"""Powers of ten below the loudest band of a clip that are told apart: 60 dB."""
QUIETEST, NOTHING = -5.0, 1e-12
"""log10 of the power below which a clip is silence (the last bit of 16), and the power that stands for none."""


class LogMel(nn.Module):
    """``bands`` triangular filters, equally spaced on the mel scale (2595 log10(1 + f / 700)) between ``low`` and ``high`` Hz.

    Frame i is centred at sample i x ``hop``, and zeros stand beyond both ends of a clip, so that a clip of n samples has ceil(n / hop) frames whatever
    it is padded with.
    """

    taper: Tensor
    bank: Tensor

    def __init__(self, *, sample_rate: int, bands: int, hop: int, window: int, low: float, high: float) -> None:
        super().__init__()
        self.hop, self.window = hop, window
        self.size = 1 << (window - 1).bit_length()
        self.register_buffer("taper", torch.hann_window(window))
        self.register_buffer("bank", filters(bands, self.size, sample_rate, low, high))

    def forward(self, samples: Tensor, heard: Tensor | None = None) -> Tensor:
        """(B, 1, bands, frames) in 0..2; 0 is ``RANGE`` below the loudest or less, and what lies behind the end. ``heard`` (B, frames): which frames
        begin before the end of their clip."""
        device = "cpu" if samples.is_meta else samples.device.type  # autocast knows no device without values
        with torch.autocast(device, enabled=False):
            power = self._powers(samples.float())
            levels = power.clamp(min=NOTHING).log10()
            if heard is not None:
                levels = levels.masked_fill(~heard[:, None], QUIETEST - RANGE)
            loudest = levels.amax((1, 2), keepdim=True).clamp(min=QUIETEST)
            return ((levels - loudest + RANGE).clamp(min=0.0) * (2.0 / RANGE)).unsqueeze(1)

    def _powers(self, samples: Tensor) -> Tensor:
        """(B, bands, frames) energy in each band."""
        before = self.window // 2
        frames = -(-samples.shape[1] // self.hop)
        behind = (frames - 1) * self.hop + self.window - before - samples.shape[1]
        around = (samples.new_zeros(len(samples), before), samples, samples.new_zeros(len(samples), max(behind, 0)))
        pieces = torch.cat(around, 1).unfold(1, self.window, self.hop)[:, :frames]
        spectrum = torch.fft.rfft(pieces * self.taper, self.size)
        return self.bank @ (spectrum.real**2 + spectrum.imag**2).transpose(1, 2)


def filters(bands: int, size: int, sample_rate: int, low: float, high: float) -> Tensor:
    """(bands, size / 2 + 1) weights of a power spectrum of ``size`` points: triangles whose corners are the neighbours' centres."""
    mel = lambda hertz: 2595.0 * torch.log10(1.0 + torch.as_tensor(hertz, dtype=torch.float64) / 700.0)  # noqa: E731
    corners = 700.0 * (10.0 ** (torch.linspace(mel(low), mel(high), bands + 2, dtype=torch.float64) / 2595.0) - 1.0)
    bins = torch.arange(size // 2 + 1, dtype=torch.float64) * sample_rate / size
    left, centre, right = (corners[i : i + bands, None] for i in range(3))
    return torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp(min=0.0).float()
