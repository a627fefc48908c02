"""What ``load`` asks of a source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """``input_size``: pixels to a side, 0 for the model's own. ``online``: whether the network may be used. ``language``: a decoder
    with its output layer."""

    pretrained: bool = True
    input_size: int = 0
    online: bool = False
    language: bool = False
