"""Images left for right: the same rows with the same targets, as another split in the eyes of whoever keeps what was computed of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import numpy as np

from regraft import digest
from regraft.data.encoded import Encoded

if TYPE_CHECKING:
    from torch import Tensor


@final
class Mirrored(Encoded):
    """A view of ``images``; nothing is copied before a batch is asked for."""

    def __init__(self, images: Encoded) -> None:
        super().__init__(images.targets, images.digests, digest.of_json({"mirrored": images.preprocessing}))
        self._images = images

    def batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> dict[str, Tensor]:
        return {name: value.flip(-1) if name == "image" else value for name, value in self._images.batch(rows, width=width).items()}

    def wait(self) -> None:
        self._images.wait()
