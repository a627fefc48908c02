"""A split in the form that a model's door takes, made once: token ids or uint8 pixels, handed out in batches of rows.

Encoded            what every room above reads: targets, lengths, digests, fingerprint, batch(rows)
+-- TextEncoded    text.py
+-- ImageEncoded   image.py
+-- SoundEncoded   sound.py
+-- Rows           a view of some rows of another one (``subset``)
+-- Joined         one after the other (``concat``)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from regraft.data.digests import Digests
from regraft.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

IGNORE = -100
"""The target of a place that has none; PyTorch's cross-entropy leaves it out by default."""
Progress = Callable[[int, int], None]
"""Called as (examples done, examples in all); for images and sounds from worker threads."""


class Encoded(ABC):
    """``targets``: as ``Split.targets`` gives them, the truth that answers are measured against. ``lengths`` (n,) int32 tokens or samples, ``None`` where all rows are of one size. ``digests``: content hash of
    each example. ``preprocessing``: hash of all that was done to the raw examples, made when it is asked for (a vocabulary is long). ``cut`` (n,) bool: rows that lost their end. ``most_together``: of
    what ``lengths`` count, padding included, that frozen parts take in at once. ``learned`` (n,): at how many places of a row there is a target, where
    targets have places."""

    most_together: int = 1 << 14
    learned: np.ndarray | None = None
    columns: np.ndarray | None = None
    """(n, c) float32 beside the inputs, for the head alone (``spec.COLUMNS`` of a batch)."""

    def __init__(
        self,
        targets: np.ndarray,
        digests: Iterable[str],
        preprocessing: str | Callable[[], str],
        *,
        lengths: np.ndarray | None = None,
        cut: np.ndarray | None = None,
    ) -> None:
        self.targets, self.digests, self._preprocessing = targets, Digests.of(digests), preprocessing
        self.lengths, self.cut = lengths, cut

    @cached_property
    def preprocessing(self) -> str:
        return self._preprocessing if isinstance(self._preprocessing, str) else self._preprocessing()

    @abstractmethod
    def batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> dict[str, Tensor]:
        """``rows`` in the order given. Text: ``input_ids``, ``attention_mask`` (B, L) int64, L being the longest row or ``width``
        if that is more, and ``segments`` (B, L) where parts of a row do not see each other; image: ``image`` (B, 3, H, W) uint8; audio: ``input_values`` (B, T) float32 in -1..1, ``attention_mask`` (B, T)."""

    def target_batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> Tensor:
        """The targets of ``rows`` as a loss takes them: (B,) classes or numbers, (B, k) sets, a class for each place of the input, aligned with
        ``batch`` of the same arguments, or the characters (B, S) of transcripts; ``IGNORE`` where there is none."""
        import torch

        return torch.from_numpy(self.targets[np.asarray(rows, dtype=np.int64)])

    @abstractmethod
    def wait(self) -> None:
        """Return once every example is encoded; raises ``DataError`` where one cannot be read."""

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def fingerprint(self) -> str:
        """One hash of the examples in their order and of the preprocessing: equal where the batches are equal."""
        return self.digests.together(self.preprocessing)

    @property
    def truncated(self) -> int:
        """How many rows lost their end to the length limit."""
        return 0 if self.cut is None else int(self.cut.sum())

    def subset(self, rows: Sequence[int] | np.ndarray) -> Encoded:
        """A view of ``rows``, in the order given; nothing is copied."""
        return Rows(self, np.asarray(rows, dtype=np.int64))


@final
class Rows(Encoded):
    def __init__(self, parent: Encoded, rows: np.ndarray) -> None:
        super().__init__(
            parent.targets[rows],
            parent.digests.take(rows),
            lambda: parent.preprocessing,
            lengths=None if parent.lengths is None else parent.lengths[rows],
            cut=None if parent.cut is None else parent.cut[rows],
        )
        self._parent, self._rows, self.most_together = parent, rows, parent.most_together
        self.learned = None if parent.learned is None else parent.learned[rows]
        self.columns = None if parent.columns is None else parent.columns[rows]

    def batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> dict[str, Tensor]:
        return self._parent.batch(self._rows[np.asarray(rows, dtype=np.int64)], width=width)

    def target_batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> Tensor:
        return self._parent.target_batch(self._rows[np.asarray(rows, dtype=np.int64)], width=width)

    def wait(self) -> None:
        self._parent.wait()


@final
class Joined(Encoded):
    """The rows of ``first``, then those of ``second``. A batch across the border is made of one from each side."""

    def __init__(self, first: Encoded, second: Encoded) -> None:
        super().__init__(
            np.concatenate([first.targets, second.targets]),
            first.digests + second.digests,
            lambda: first.preprocessing,
            lengths=_joined(first.lengths, second.lengths),
            cut=_joined(first.cut, second.cut),
        )
        self.parts, self.most_together = (first, second), first.most_together
        self.learned = _joined(first.learned, second.learned)
        self.columns = _joined(first.columns, second.columns)

    def batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> dict[str, Tensor]:
        import torch

        pieces, order = self._pieces(rows, width)
        inputs = [part.batch(own, width=shared) for part, own, shared in pieces]
        return inputs[0] if order is None else {name: torch.cat([piece[name] for piece in inputs])[order] for name in inputs[0]}

    def target_batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> Tensor:
        import torch

        pieces, order = self._pieces(rows, width)
        targets = [part.target_batch(own, width=shared) for part, own, shared in pieces]
        return targets[0] if order is None else torch.cat(_as_wide(targets))[order]

    def _pieces(self, rows: Sequence[int] | np.ndarray, width: int) -> tuple[list[tuple[Encoded, np.ndarray, int]], Tensor | None]:
        """(side, its own rows, width) for each side that ``rows`` fall on, and how to put both back in order."""
        import torch

        wanted = np.asarray(rows, dtype=np.int64)
        if self.lengths is not None and len(wanted):
            width = max(width, int(self.lengths[wanted].max()))
        first, second = self.parts
        places = np.flatnonzero(wanted < len(first)), np.flatnonzero(wanted >= len(first))
        if not len(places[1]):
            return [(first, wanted, width)], None
        if not len(places[0]):
            return [(second, wanted - len(first), width)], None
        sides: list[tuple[Encoded, np.ndarray, int]] = [(first, wanted[places[0]], width), (second, wanted[places[1]] - len(first), width)]
        return sides, torch.from_numpy(np.argsort(np.concatenate(places)))

    def wait(self) -> None:
        for part in self.parts:
            part.wait()


def _as_wide(targets: list[Tensor]) -> list[Tensor]:
    """Transcripts (B, S) filled up to the longest of them; all else as it is."""
    import torch

    widest = max(each.shape[-1] for each in targets)
    short = targets[0].ndim == 2 and any(each.shape[-1] < widest for each in targets)
    return [torch.nn.functional.pad(each, (0, widest - each.shape[-1]), value=IGNORE) for each in targets] if short else targets


def _joined(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    return None if first is None or second is None else np.concatenate([first, second])


def concat(first: Encoded, second: Encoded) -> Encoded:
    """The rows of both, one after the other; both must have been made by the same preprocessing."""
    if first.preprocessing != second.preprocessing:
        raise DataError(
            "join two encoded splits",
            "they were made by different preprocessing",
            "encode both with the same input spec, tokenizer and margin",
        )
    return Joined(first, second)
