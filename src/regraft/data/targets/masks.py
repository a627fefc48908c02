"""A class for each pixel of an image, in a mask of the image's size. Which value means which class is learnt from the training masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from regraft.data import arrays, arrow
from regraft.data.dataset import Rejected
from regraft.data.examples import Examples
from regraft.data.legend import Legend, is_ignored
from regraft.data.look import each
from regraft.data.masks import GREY, MOST_CLASSES, MaskLook, Mode, colour_of, look, target_of, usual_colours
from regraft.data.split import training_rows
from regraft.data.targets.reader import Learnt, Read, Reader, some
from regraft.errors import DataError
from regraft.spec import SPLITS

WHITE = 255
MOST_UNNAMED = 64
"""More values than this without a file that names them are those of a photograph or of a mask that was resized with smoothing."""
TURNED = (5, 6, 7, 8)
"""Orientations (EXIF) that stand for a quarter turn."""
ORIENTATION = 0x0112
NOT_CLASS, NOT_IN_TRAIN, OTHER_SIZE = "is no class", "is in no training mask", "mask of another size"


def looks(found: Examples) -> list[MaskLook]:
    """One for each of ``found.labels``, which are the paths of masks; every pixel is read, once."""
    if not found.looks and found.labels:
        found.looks = list(each(look, found.labels))
    return found.looks


def learn(found: Examples, sides: np.ndarray, reference: str) -> Learnt:
    """``facts``: ``values`` of each class, values to ``ignore``, the ``mode`` of reading them, ``colours`` to show them in, and the ``shares`` of the
    training pixels that each class has. Raises ``DataError`` where the masks tell nothing apart, or do not look like masks."""
    rows = training_rows(sides, reference)
    seen = [looks(found)[code] for code in np.unique(arrow.numbers(found.table.column("target"))[rows])]
    usable = [one for one in seen if not one.fault]
    if not usable:
        faults = Counter(one.fault for one in seen).most_common(1)
        raise DataError(
            f"read the masks of {reference}", f"not one can be read: {faults[0][0]}", "mend the masks, or name their folder with --target"
        )
    mode: Mode = "colour" if any(one.mode == "colour" for one in usable) else "grey"
    counts: Counter[int] = Counter()
    for one in usable:
        counts.update(one.values_as(mode))
    palette = {value: colour for one in usable for value, colour in one.palette.items()}
    legend = found.legend or Legend()
    names = _named(legend, mode, palette)
    ignore = _ignored(legend, names, counts, mode)
    values = _values(names, ignore, counts, reference)
    total = sum(counts[value] for group in values.values() for value in group)
    shares = [sum(counts[value] for value in group) / max(total, 1) for group in values.values()]
    facts = {
        "classes": list(values),
        "values": list(values.values()),
        "ignore": sorted(ignore),
        "mode": mode,
        "colours": [list(colour) for colour in _colours(list(values.values()), mode, palette)],
        "shares": shares,
    }
    return Learnt(tuple(values), facts, tuple(_said(facts, legend, counts)))


def read(found: Examples, sides: np.ndarray, learnt: Learnt, reference: str, allow_unknown: bool) -> Read:
    """Masks that cannot be read, are not of their image's size or hold a value that is no class are listed."""
    mode: Mode = learnt.facts["mode"]
    known = {value for group in learnt.facts["values"] for value in group} | set(learnt.facts["ignore"])
    unknown = NOT_CLASS if found.legend and found.legend.names else NOT_IN_TRAIN
    seen = looks(found)
    faults = [one.fault or _unknown(one, known, mode, unknown) for one in seen]
    codes = arrow.numbers(found.table.column("target"))
    images = found.table.column("input").to_pylist()
    listed = [faults[code] or _other_size(size, seen[code]) for code, size in zip(codes, each(_size, images), strict=True)]
    where = found.table.column("where")
    rejected = [
        Rejected(where[row].as_py(), reason, SPLITS[sides[row]] if sides[row] >= 0 else "") for row, reason in enumerate(listed) if reason
    ]
    targets = [None if reason else target_of(found.labels[code], seen[code].digest) for code, reason in zip(codes, listed, strict=True)]
    return Read(arrow.array(targets, arrays.MASK), np.array([-1 if reason else 0 for reason in listed], np.int64), rejected)


def _named(legend: Legend, mode: Mode, palette: Mapping[int, tuple[int, int, int]]) -> dict[int, str]:
    """Value -> name; a file of colours also names the entries of a palette."""
    if mode == "grey" and legend.names and all(value > WHITE for value in legend.names if value) and palette:
        return {value: legend.names[key] for value, (r, g, b) in palette.items() if (key := (r << 16) + (g << 8) + b) in legend.names}
    if mode == "colour" and legend.names and max(legend.names) <= WHITE:
        return {}
    return legend.names


def _ignored(legend: Legend, names: Mapping[int, str], counts: Mapping[int, int], mode: Mode) -> set[int]:
    """What a person or a name says; without either, 255 behind a run of classes (Pascal VOC, Cityscapes)."""
    given = {value * GREY if mode == "colour" and value <= WHITE else value for value in legend.ignore}
    ignore = given | {value for value, name in names.items() if is_ignored(name)}
    others = [value for value in counts if value != WHITE]
    if not names and not given and mode == "grey" and WHITE in counts and len(others) > 1 and max(others) < WHITE - 1:
        ignore.add(WHITE)
    return ignore


def _values(names: Mapping[int, str], ignore: set[int], counts: Mapping[int, int], reference: str) -> dict[str, list[int]]:
    """Class -> its values, in the order of the file that names them, else of the values."""
    there = sorted(set(counts) - ignore)
    if not names and len(there) > MOST_UNNAMED:
        raise DataError(f"read the masks of {reference}", f"{len(there):,} different values, as in a picture or a mask that was smoothed",
                        "masks as PNG, resized without smoothing; or a classes.txt beside the data that names the values")  # fmt: skip
    found: dict[str, list[int]] = {}
    for value, name in (names or _by_value(there)).items():
        if value not in ignore:
            found.setdefault(name, []).append(value)
    if not 2 <= len(found) <= MOST_CLASSES or len(there) < 2:
        raise DataError(f"read the masks of {reference}", f"{len(found)} classes, and {len(there)} values in the training masks",
                        f"masks that tell 2 to {MOST_CLASSES} classes apart; --target names another folder or column")  # fmt: skip
    return found


def _by_value(values: Sequence[int]) -> dict[int, str]:
    if list(values) in ([0, 1], [0, WHITE], [0, WHITE * GREY]):
        return dict(zip(values, ("background", "foreground"), strict=True))
    return {value: str(value) if value <= WHITE else "#{:02x}{:02x}{:02x}".format(*colour_of(value)) for value in values}


def _colours(values: Sequence[Sequence[int]], mode: Mode, palette: Mapping[int, tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The data's own where it has any, and they differ."""
    if mode == "colour":
        return [colour_of(group[0]) for group in values]
    own = [palette[group[0]] for group in values if group[0] in palette]
    return own if len(own) == len(set(own)) == len(values) else usual_colours(len(values))


def _said(facts: Mapping[str, object], legend: Legend, counts: Mapping[int, int]) -> list[str]:
    names, ignore = list(facts["classes"]), list(facts["ignore"])  # type: ignore[call-overload]
    origin = f"named by {legend.file}" if legend.file else "one for each value in the training masks"
    said = [f"Masks tell {len(names)} classes apart, {origin}: {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}."]
    if ignore:
        share = sum(counts.get(value, 0) for value in ignore) / max(sum(counts.values()), 1)
        said.append(f"Pixels of value {', '.join(map(str, ignore))} count for nothing ({share:.1%} of the training masks).")
    missing = [name for name, share in zip(names, facts["shares"], strict=True) if not share]  # type: ignore[call-overload]
    if missing:
        said.append(f"No training pixel is of class {some(missing)}.")
    return said


def _unknown(one: MaskLook, known: set[int], mode: Mode, what: str) -> str:
    value = next((value for value in sorted(one.values_as(mode)) if value not in known), None)
    return "" if value is None else f"mask value {value} {what}"


def _other_size(image: tuple[int, int], mask: MaskLook) -> str:
    if image == mask.size:
        return ""
    return f"{OTHER_SIZE}: {mask.size[0]} x {mask.size[1]} for an image of {image[0]} x {image[1]}"


def _size(path: Path) -> tuple[int, int]:
    """(width, height) of an image as a person sees it; of one that cannot be opened (0, 0)."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(ORIENTATION) in TURNED
            return (image.size[1], image.size[0]) if turned else image.size
    except (OSError, UnidentifiedImageError):
        return 0, 0


READER = Reader(learn=learn, read=read)
