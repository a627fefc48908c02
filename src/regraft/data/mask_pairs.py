"""Images and their masks in folders: which mask belongs to which image, and to which split.

    images/ masks/                          one beside the other; also imgs, JPEGImages ... and labels, annotations, gt, SegmentationClass ...
    train/images train/masks test/...       in split folders
    images/train masks/train ...            or split folders inside them
    ImageSets/Segmentation/train.txt        lists of names beside JPEGImages/ (Pascal VOC): what is in no list is left out

A mask has the path of its image below the folder, and its name but for the ending and a suffix such as ``_mask``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.data.names import IMAGE_ENDINGS, natural, split_of
from regraft.errors import DataError

IMAGES = ("images", "image", "imgs", "img", "jpegimages", "photos", "leftimg8bit", "inputs", "图像")
MASKS = (
    "masks", "mask", "labels", "label", "annotations", "annotation", "gt", "ground_truth", "groundtruth", "segmentationclass", "segmentation",
    "gtfine", "targets", "掩码", "标注",
)  # fmt: skip
LISTS = Path("ImageSets") / "Segmentation"
MASK_SUFFIX = re.compile(
    r"[-_. ](masks?|labels?|gt|seg|segmentation|annotation|groundtruth|labelids|labeltrainids|gtfine|p|l)$", re.IGNORECASE
)
IMAGE_SUFFIX = re.compile(r"[-_. ](images?|img|leftimg8bit|sat|photo)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pairs:
    """``found``: split (``""``: not said) -> (image, its mask or ``None``), in order of name. ``alone``: masks without an image. ``plain``: do images
    lie in their folder directly? Where they lie in folders of their own these may be classes just as well."""

    root: Path
    found: dict[str, list[tuple[Path, Path | None]]]
    alone: tuple[Path, ...]
    plain: bool
    said: tuple[str, ...]


def find(root: Path, *, images: str | None = None, masks: str | None = None) -> Pairs | None:
    """The pairs in ``root``; ``None`` where no folder of masks lies beside one of images. ``images``, ``masks``: names of these folders, where they
    are not the usual ones. Raises ``DataError`` where a folder that is named is not there."""
    wanted = ((images.lower(),) if images else IMAGES, (masks.lower(),) if masks else MASKS)
    levels = _levels(root, wanted)
    if not levels:
        if images or masks:
            raise DataError(f"find images and masks in {root}", f"no folder {masks or images!r} beside one of images; there are {_folders(root)}",
                            "--input IMAGES --target MASKS with the names of the two folders")  # fmt: skip
        return None
    found: dict[str, list[tuple[Path, Path | None]]] = {}
    alone: list[Path] = []
    for split, pictures, targets in levels:
        pairs, orphans = _paired(pictures, targets)
        found.setdefault(split, []).extend(pairs)
        alone += orphans
    if not any(mask for pairs in found.values() for _, mask in pairs):
        return None
    listed = _listed(root, found)
    names = sorted({(pictures.name, targets.name) for _, pictures, targets in levels})
    said = [f"Images are in {pictures}/, their masks in {targets}/." for pictures, targets in names[:1]]
    if listed is not None:
        found, alone = listed, []
        said.append(f"Splits are given by the lists in {LISTS.as_posix()}/.")
    elif any(found):
        said.append(f"Splits are given by folders: {', '.join(sorted(filter(None, found)))}.")
    return Pairs(root, found, tuple(alone), all(_is_plain(pictures) for _, pictures, _ in levels), tuple(said))


Names = tuple[tuple[str, ...], tuple[str, ...]]
Level = tuple[str, Path, Path]
"""Split, folder of images, folder of masks."""


def _levels(root: Path, wanted: Names) -> list[Level]:
    """In ``root`` itself, with split folders inside or without, or in its split folders."""
    here = _beside(root, wanted)
    if here is None:
        splits = [(split_of(folder.name), folder) for folder in _inner(root)]
        both = [(split, _beside(folder, wanted)) for split, folder in splits if split]
        return [(split, *pair) for split, pair in both if pair]
    pictures, targets = here
    inside = {split: folder for folder in _inner(pictures) if (split := split_of(folder.name))}
    theirs = {split: folder for folder in _inner(targets) if (split := split_of(folder.name))}
    if inside.keys() & theirs.keys():
        return [(split, folder, theirs[split]) for split, folder in inside.items() if split in theirs]
    return [("", pictures, targets)]


def _beside(folder: Path, wanted: Names) -> tuple[Path, Path] | None:
    """The folder of images and the folder of masks in ``folder``; among several the one whose name says it most plainly."""
    there = {inner.name.lower(): inner for inner in _inner(folder)}
    pictures, targets = (next((there[name] for name in names if name in there), None) for names in wanted)
    return (pictures, targets) if pictures and targets and pictures != targets else None


def _paired(pictures: Path, targets: Path) -> tuple[list[tuple[Path, Path | None]], list[Path]]:
    masks = _files(targets)
    exact = {_key(mask, targets): mask for mask in masks}
    loose = {_key(mask, targets, MASK_SUFFIX): mask for mask in masks}
    pairs: list[tuple[Path, Path | None]] = []
    for image in _files(pictures):
        name, bare = _key(image, pictures), _key(image, pictures, IMAGE_SUFFIX)
        pairs.append((image, exact.get(name) or loose.get(name) or exact.get(bare) or loose.get(bare)))
    used = {mask for _, mask in pairs}
    return pairs, [mask for mask in masks if mask not in used]


def _key(file: Path, root: Path, suffix: re.Pattern[str] | None = None) -> str:
    """The path below ``root`` without the ending; with ``suffix`` taken off as often as it stands there (``_gtFine_labelIds``)."""
    relative = file.relative_to(root).with_suffix("")
    name = relative.name
    while suffix is not None and suffix.search(name):
        name = suffix.sub("", name)
    return (relative.parent / name).as_posix()


def _listed(root: Path, found: dict[str, list[tuple[Path, Path | None]]]) -> dict[str, list[tuple[Path, Path | None]]] | None:
    """Pairs by the lists of names in ``ImageSets/Segmentation``; ``None`` where there are none."""
    folder = root / LISTS
    lists = {split: file for file in sorted(folder.glob("*.txt")) if (split := split_of(file.stem))} if folder.is_dir() else {}
    if not lists or set(found) != {""}:
        return None
    by_name = {image.stem: (image, mask) for image, mask in found[""]}
    return {split: [by_name[name] for name in file.read_text().split() if name in by_name] for split, file in lists.items()}


def _is_plain(pictures: Path) -> bool:
    return any(entry.is_file() and entry.suffix.lower() in IMAGE_ENDINGS for entry in pictures.iterdir())


def _files(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS and not path.name.startswith(".")]
    return sorted(found, key=lambda path: natural(path.relative_to(folder).as_posix()))


def _inner(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _folders(root: Path) -> str:
    names: Sequence[str] = [entry.name for entry in _inner(root)]
    return ", ".join(names[:8]) or "no folders"
