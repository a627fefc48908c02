"""The data doctor: everything about a data set that spoils training or makes its figures untrue, as the ``check`` document.

A problem is ``{kind, severity, where, count, advice}``. ``error``: training on this is pointless or its figures would be wrong; ``warning``: a person should
look; ``note``: good to know.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from regraft.data import duplicates, encoding, inspect_fields, inspect_sounds, spelling
from regraft.data.dataset import Dataset, Progress, Rejected
from regraft.data.load import NEAR_IMAGES, NEAR_TEXTS
from regraft.data.look import THUMB, Look, every_file, examine, study
from regraft.data.mask_faults import fault, remarks
from regraft.data.names import folded
from regraft.data.overlap import Overlap
from regraft.data.several import alone
from regraft.data.targets.transcripts import EMPTY
from regraft.data.unknown import NOT_IN_TRAIN

SHOWN = 3
TINY_CLASS, SMALL_CLASS = 5, 20
IMBALANCE_NOTE, IMBALANCE_WARNING = 3.0, 10.0
LONG_CHARACTERS = 2_000
EXTREME_PIXELS, SMALL_SIDE, EXTREME_ASPECT = 50_000_000, 16, 5.0
UNREADABLE = {"image": "unreadable_images", "audio": "unreadable_sounds"}
SEVERITIES = ("error", "warning", "note")
Problem = dict[str, Any]


def inspect(dataset: Dataset, *, deep: bool = True, progress: Progress | None = None) -> dict[str, Any]:
    """The ``check`` document of ``dataset``: JSON-ready, problems sorted by severity. ``deep``: decode every image and sound in full."""
    problems = _problems(dataset, deep, progress)
    return {
        "schema": 1,
        "reference": dataset.reference,
        "task": dataset.task,
        "splits": {
            name: {"num_examples": len(split), "given": name in dataset.given_splits, "classes": dataset.counts(name)}
            for name, split in dataset.splits.items()
        },
        "classes": list(dataset.classes),
        "outputs": dataset.outputs,
        "num_examples": dataset.num_examples,
        "problems": sorted(problems, key=lambda found: SEVERITIES.index(found["severity"])),
        "rejected": [{"where": item.where, "reason": item.reason, "split": item.split} for item in dataset.rejected],
        "said": list(dataset.said),
        "fingerprint": dataset.fingerprint,
    }


def _problems(dataset: Dataset, deep: bool, progress: Progress | None) -> list[Problem]:
    problems = [
        *(_of_tasks(dataset) if dataset.form.target == "several" else _classes(dataset)),
        *_label_sets(dataset),
        *_rejected(dataset),
        *remarks(dataset),
    ]
    if dataset.kind == "image":
        looks = _looks(dataset, deep, progress)
        problems += [*_broken(dataset, looks), *_sizes(dataset, looks)]
        groups, limit = _image_groups(looks), NEAR_IMAGES
    elif dataset.kind == "audio":
        heard = inspect_sounds.listen(dataset, deep=deep, progress=progress)
        problems += inspect_sounds.problems(dataset, heard)
        groups, limit = inspect_sounds.groups(heard), 0
    elif dataset.form.parts == "row":
        problems += inspect_fields.problems(dataset)
        groups, limit = inspect_fields.groups(dataset), 0
    else:
        problems += _texts(dataset)
        texts = pa.chunked_array([chunk for split in dataset.splits.values() for chunk in split.table.column("input").chunks], pa.string())
        groups, limit = duplicates.of_texts(texts, limit=NEAR_TEXTS), NEAR_TEXTS
    problems += Overlap.of(dataset, groups).problems()
    if not groups.near and limit:
        problems.append(
            problem(
                "near_duplicates_not_checked",
                "note",
                "all",
                dataset.num_examples,
                f"near duplicates are looked for up to {limit:,} different examples",
            )
        )
    return problems


def _of_tasks(dataset: Dataset) -> list[Problem]:
    """Of several tasks what is found in the classes of each, and targets that are missing."""
    found = []
    for name in dataset.classes:
        found += [{**one, "where": f"{name}, {one['where']}"} for one in _classes(alone(dataset, name))]
        for split, examples in dataset.splits.items():
            if missing := len(examples) - dataset.counts(split)[name]:
                found.append(problem("missing_target", "note", f"{name}, {split}", missing, "these examples teach the other tasks alone"))
    return found


def problem(kind: str, severity: str, where: str, count: int, advice: str) -> Problem:
    return {"kind": kind, "severity": severity, "where": where, "count": int(count), "advice": advice}


def _classes(dataset: Dataset) -> list[Problem]:
    """One class, tiny classes, imbalance, classes that a split lacks, empty class folders."""
    found = []
    if len(dataset.classes) < 2 and dataset.form.target in ("class", "level"):
        found.append(problem("one_class", "error", "train", len(dataset.classes), "classification needs at least two classes"))
    if "train" not in dataset.splits:
        return [*found, problem("no_train", "error", "train", 0, "give examples to train on")]
    if not dataset.counts("train"):  # targets without classes
        return found
    if dataset.form.target == "transcript":  # characters: nobody gathers them evenly
        return [*found, *_tiny(dataset), *_unspelled(dataset)]
    found += [*_imbalance(dataset), *_tiny(dataset), *_absent(dataset)]
    if empty := dataset.empty_folders:
        found.append(problem("empty_class_folder", "warning", _some(empty), len(empty), "fill these folders or remove them"))
    return found


def _imbalance(dataset: Dataset) -> list[Problem]:
    counts = dataset.counts("train")
    most, least = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    ratio = counts[most] / max(counts[least], 1)
    if ratio < IMBALANCE_NOTE or dataset.form.target == "tags":  # most words are outside of every entity
        return []
    advice = f"{most!r} has {counts[most]:,} examples, {least!r} {counts[least]:,}: judge by balanced accuracy and macro F1, not by accuracy alone"
    return [problem("imbalance", "warning" if ratio >= IMBALANCE_WARNING else "note", "train", round(ratio), advice)]


def _tiny(dataset: Dataset) -> list[Problem]:
    """Classes with very few training examples, or, where there are none of these, with few."""
    counts = dataset.counts("train")
    for limit, severity in ((TINY_CLASS, "warning"), (SMALL_CLASS, "note")):
        if small := [name for name in dataset.classes if counts[name] < limit]:
            advice = f"fewer than {limit} training examples each: add examples"
            return [problem("tiny_classes", severity, f"train: {_some(small)}", len(small), advice)]
    return []


def _absent(dataset: Dataset) -> list[Problem]:
    """Classes that valid or test do not measure."""
    found = []
    for name in ("valid", "test"):
        absent = [label for label, count in dataset.counts(name).items() if not count] if name in dataset.splits else []
        if absent:
            advice = f"nothing in {name} measures these classes"
            found.append(problem("label_missing_in_split", "warning", f"{name}: {_some(absent)}", len(absent), advice))
    return found


def _unspelled(dataset: Dataset) -> list[Problem]:
    """Characters of valid and test that no training transcript has."""
    found = []
    for name, split in dataset.splits.items():
        absent = [spelling.unknown(target) for target in split.targets]
        rows, letters = [row for row, some in enumerate(absent) if some], Counter(letter for some in absent for letter in some)
        if rows:
            advice = (
                f"{_some(map(repr, letters))}: each counts as an error; give training transcripts that have them, or write them otherwise"
            )
            found.append(problem("characters_not_in_train", "warning", _places(dataset, name, np.array(rows)), letters.total(), advice))
    return found


def _label_sets(dataset: Dataset) -> list[Problem]:
    """Labels that a person would take for the same, and labels that train does not have (their rows are among the rejected)."""
    alike: dict[str, list[str]] = {}
    for name in dataset.classes if dataset.form.target != "transcript" else ():
        alike.setdefault(folded(name), []).append(name)
    twins = [" / ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    found = []
    if twins:
        advice = "these classes differ only by case, spaces or hyphens: write them one way"
        found.append(problem("labels_alike", "warning", _some(twins), len(twins), advice))
    unknown = [item for item in dataset.rejected if item.reason.endswith(NOT_IN_TRAIN)]
    if unknown:
        where = ", ".join(f"{split} ({count})" for split, count in Counter(item.split for item in unknown).items())
        found.append(problem("label_not_in_train", "error", where, len(unknown), _unknown(unknown, alike)))
    return found


def _unknown(unknown: list[Rejected], alike: dict[str, list[str]]) -> str:
    """Which labels train does not have, and which of them are a class of train in other letters. ``alike``: folded name -> classes."""
    reasons = sorted({item.reason for item in unknown})
    labels = [reason.removeprefix("label ").removesuffix(NOT_IN_TRAIN) for reason in reasons]
    dressed = [f"{label} as {alike[key][0]!r}" for label in labels if (key := folded(label.strip("'\""))) in alike]
    if dressed:
        return f"{_some(reasons)}: write {_some(dressed)}, which differ only by case, spaces or hyphens"
    return f"{_some(reasons)}: give train examples, or write the labels as in train"


def _rejected(dataset: Dataset) -> list[Problem]:
    kinds = {"empty text": "empty_text", "no label": "missing_label", EMPTY: "empty_transcript", "not UTF-8": "wrong_encoding"}
    by_kind: dict[str, list[str]] = {}
    masked: dict[tuple[str, str], list[str]] = {}
    for item in dataset.rejected:
        about_mask = fault(item.reason) if dataset.form.target == "mask" else None
        if about_mask:
            masked.setdefault(about_mask, []).append(f"{item.where} ({item.reason})")
        elif not item.reason.endswith(NOT_IN_TRAIN):
            other = "ragged_rows" if item.reason.startswith("ragged") else UNREADABLE.get(dataset.kind, "unreadable_rows")
            by_kind.setdefault(kinds.get(item.reason, other), []).append(f"{item.where} ({item.reason})")
    advice = "not used: mend or remove"
    found = [problem(kind, "warning", _some(places), len(places), advice) for kind, places in by_kind.items()]
    return found + [problem(kind, "error", _some(places), len(places), advice) for (kind, advice), places in masked.items()]


def _texts(dataset: Dataset) -> list[Problem]:
    """Very long texts, and texts that were decoded wrongly before they came here."""
    found = []
    for name, split in dataset.splits.items():
        texts = split.table.column("input")
        long = np.flatnonzero(pc.greater(pc.utf8_length(texts), LONG_CHARACTERS).to_numpy())
        if len(long):
            advice = f"longer than {LONG_CHARACTERS:,} characters: most encoders cut a text at 512 tokens; see --set settings.max_length"
            found.append(problem("long_texts", "note", _places(dataset, name, long), len(long), advice))
        suspects = np.flatnonzero(pc.match_substring_regex(texts, "[\u00c2-\u00f4\ufffd]").to_numpy())
        mangled = [row for row in suspects.tolist() if encoding.is_mangled(texts[row].as_py())]
        if mangled:
            advice = "these texts were read in the wrong encoding before they were saved (such as Ã© for é): export them again as UTF-8"
            found.append(problem("wrong_encoding", "warning", _places(dataset, name, np.array(mangled)), len(mangled), advice))
    return found


def _looks(dataset: Dataset, deep: bool, progress: Progress | None) -> dict[str, list[Look]]:
    return every_file(dataset, examine if deep else study, saying="looking at images", progress=progress)


def _broken(dataset: Dataset, looks: dict[str, list[Look]]) -> list[Problem]:
    found = []
    for name, seen in looks.items():
        rows = [row for row, look in enumerate(seen) if look.fault]
        if rows:
            faults = _some(sorted({seen[row].fault for row in rows}))
            found.append(
                problem("unreadable_images", "error", _places(dataset, name, np.array(rows)), len(rows), f"{faults}: mend or remove")
            )
    return found


def _sizes(dataset: Dataset, looks: dict[str, list[Look]]) -> list[Problem]:
    """One size for all (worth knowing for the input size), tiny, huge and very long images."""
    sizes = np.array([look.size for seen in looks.values() for look in seen if not look.fault], np.int64).reshape(-1, 2)
    if not len(sizes):
        return []
    short, long = sizes.min(axis=1), sizes.max(axis=1)
    found = []
    if len(np.unique(sizes, axis=0)) == 1:
        found.append(
            problem(
                "constant_size",
                "note",
                f"{sizes[0, 0]} x {sizes[0, 1]} pixels",
                len(sizes),
                "all images have one size; a larger input size adds no detail",
            )
        )
    for kind, rows, advice in (
        ("tiny_images", short < SMALL_SIDE, f"a side is under {SMALL_SIDE} pixels"),
        (
            "huge_images",
            sizes.prod(axis=1) > EXTREME_PIXELS,
            f"more than {EXTREME_PIXELS // 1_000_000} million pixels: shrink them once, decoding costs more than training",
        ),
        (
            "extreme_aspect",
            long > EXTREME_ASPECT * short,
            f"a side is over {EXTREME_ASPECT:.0f} times the other: a square crop sees little of them",
        ),
    ):
        if rows.any():
            found.append(problem(kind, "note", "all", int(rows.sum()), advice))
    return found


def _image_groups(looks: dict[str, list[Look]]) -> duplicates.Groups:
    """Equal pixels (or, if not decoded, equal files) are one key; a broken image is equal only to itself."""
    seen = [look for part in looks.values() for look in part]
    key = np.array([int((look.pixels or look.digest)[:16], 16) if not look.fault else index for index, look in enumerate(seen)], np.uint64)
    if len(seen) > NEAR_IMAGES:
        return duplicates.of_equal(key)
    dhash = np.array([look.dhash for look in seen], np.uint64)
    rng = np.random.default_rng(0)
    nothing = [rng.integers(0, 256, (THUMB, THUMB), np.uint8) for look in seen if look.thumb is None]
    thumbs = np.stack([look.thumb if look.thumb is not None else nothing.pop() for look in seen])
    return duplicates.of_images(key, dhash, thumbs)


def _places(dataset: Dataset, split: str, rows: np.ndarray) -> str:
    return f"{split}: {_some([dataset.splits[split].where(int(row)) for row in rows[: SHOWN + 1]])}"


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
