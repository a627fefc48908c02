"""A small residual network over log-mel spectrograms (He et al. 2015, 1512.03385): the architecture behind ``bundled:audio``.

samples (B, T) -> [stem: log-mel, convolution] -> [blocks.0] -> ... -> [blocks.3] -> frames (B, L, width), one for every 40 ms

Everything behind the end of a clip is set to zero before each convolution looks at it, which is what stands behind a clip that is alone: padding changes
no frame.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from regraft.trunk.mel import LogMel

SAMPLE_RATE = 16_000
BANDS, HOP, WINDOW, LOW, HIGH = 64, 160, 400, 60.0, 7_600.0
STEM, WIDTHS = 32, (32, 64, 128, 192)
STRIDES = ((2, 1), (2, 2), (2, 1), (2, 1))
"""Of each block, in bands and in frames; the stem's is (2, 2), so that 2 bands are left, and every fourth frame."""
Steps = tuple[int, int]
EVEN = 16
"""Channels last is a third faster, and a crash inside oneDNN (torch 2.15, CPU) for convolutions of 8 channels: only for multiples of this."""


class Stem(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, 5, stride=2, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, levels: Tensor, heard: Tensor | None = None) -> Tensor:
        return silenced(torch.relu(self.norm(self.conv(levels))), thinned(heard, 2))


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; ``steps``: strides in bands and frames."""

    def __init__(self, inside: int, width: int, steps: Steps) -> None:
        super().__init__()
        self.steps = steps
        self.conv1 = nn.Conv2d(inside, width, 3, stride=steps, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential(nn.Conv2d(inside, width, 1, stride=steps, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor, heard: Tensor | None = None) -> Tensor:
        after = thinned(heard, self.steps[1])
        inner = silenced(torch.relu(self.norm1(self.conv1(x))), after)
        return silenced(torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(x)), after)


class MelResNet(nn.Module):
    """``widths``: channels of the blocks. Frames are (B, L, 2 x the last of them): the two bands that are left stand side by side."""

    def __init__(self, stem: int = STEM, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.mel = LogMel(sample_rate=SAMPLE_RATE, bands=BANDS, hop=HOP, window=WINDOW, low=LOW, high=HIGH)
        self.stem = Stem(stem)
        self.blocks = nn.ModuleList(
            Block(inside, width, steps) for inside, width, steps in zip((stem, *widths), widths, STRIDES, strict=False)
        )
        self.width = 2 * widths[-1]
        if not any(channels % EVEN for channels in (stem, *widths)):
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, input_values: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(B, L, width) from samples (B, T) in -1..1 at 16 kHz; ``attention_mask`` (B, T): 1 where a clip has samples, which come first."""
        heard = thinned(None if attention_mask is None else attention_mask.bool(), HOP)
        x = self.stem(self.mel(input_values, heard), heard)
        heard = thinned(heard, 2)
        for block in self.blocks:
            x = block(x, heard)
            heard = thinned(heard, cast(Block, block).steps[1])
        return x.flatten(1, 2).transpose(1, 2)

    def heard(self, attention_mask: Tensor) -> Tensor:
        """(B, L) which frames begin before the end of their clip."""
        heard = thinned(thinned(attention_mask.bool(), HOP), 2)
        for block in self.blocks:
            heard = thinned(heard, cast(Block, block).steps[1])
        return cast(Tensor, heard)


def mel_resnet(stem: int = STEM, widths: tuple[int, ...] = WIDTHS) -> MelResNet:
    """The network with random weights; ``module:regraft.trunk.mel_resnet.mel_resnet`` names it where a reference is wanted."""
    return MelResNet(stem, tuple(widths))


def thinned(heard: Tensor | None, step: int) -> Tensor | None:
    """Every ``step``-th place: what a layer of that stride keeps."""
    return heard if heard is None or step == 1 else heard[:, ::step]


def silenced(x: Tensor, heard: Tensor | None) -> Tensor:
    """(B, C, bands, frames) with zeros behind the end of each clip."""
    return x if heard is None else x * heard[:, None, None].to(x.dtype)
