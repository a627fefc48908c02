"""Images with masks in folders, as rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regraft.data.dataset import Rejected
from regraft.data.examples import Raw
from regraft.data.legend import Legend
from regraft.data.mask_pairs import Pairs, find
from regraft.data.sources import Source
from regraft.errors import DataError
from regraft.spec import Form

BATCH_FILES = 1_024
NO_MASK, NO_IMAGE = "no mask of that name", "a mask without an image of that name"


@dataclass(frozen=True, slots=True)
class Masked:
    """``pairs`` by split, and the ``legend`` of their masks."""

    pairs: Pairs
    legend: Legend
    said: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    form = Form("image", target="mask")

    @property
    def num_files(self) -> int:
        return sum(map(len, self.pairs.found.values()))

    @property
    def parts(self) -> frozenset[str]:
        return frozenset(self.pairs.found)

    def raws(self) -> Iterator[Raw]:
        for split, pairs in self.pairs.found.items():
            for at in range(0, len(pairs), BATCH_FILES):
                yield self._raw(split, pairs[at : at + BATCH_FILES])
        yield Raw([], [], [], [], [Rejected(self._where(mask), NO_IMAGE) for mask in self.pairs.alone])

    def _raw(self, split: str, pairs: list[tuple[Path, Path | None]]) -> Raw:
        both = [(image, mask) for image, mask in pairs if mask is not None]
        missing = [Rejected(self._where(image), NO_MASK, split) for image, mask in pairs if mask is None]
        where = [self._where(image) for image, _ in both]
        return Raw([str(image) for image, _ in both], [str(mask) for _, mask in both], where, [split] * len(both), missing)

    def _where(self, file: Path) -> str:
        return file.relative_to(self.pairs.root).as_posix()


def of_folders(source: Source, *, images: str | None, masks: str | None, ignore: frozenset[int]) -> Masked:
    """The pairs at ``source``; ``images`` and ``masks`` name the folders where they have other names than the usual ones."""
    pairs = source.masks if source.masks and not (images or masks) else find(source.root, images=images, masks=masks)
    if pairs is None:
        raise DataError(f"find images and masks in {source.root}", "no folder of masks beside one of images",
                        "images/ beside masks/, in each of train/ and test/ or once; or a table with a column of each; --input and --target name others")  # fmt: skip
    return Masked(pairs, Legend.of([source.root], ignore), pairs.said)
