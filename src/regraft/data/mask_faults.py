"""What can be wrong with masks: how ``check`` names each fault, and what to do about it. And what is right but worth knowing."""

from __future__ import annotations

import re
from typing import Any

from regraft.data.dataset import Dataset

RARE_SHARE = 0.005
MEND = "mend or remove them; to go on without these images: --allow-rejected"
FAULTS: tuple[tuple[str, str, str], ...] = (
    ("no mask", "missing_mask", "a mask needs the path and name of its image (images/a/1.jpg, masks/a/1.png); " + MEND),
    ("no label", "missing_mask", "fill the column of masks; " + MEND),
    ("a mask without an image", "missing_image", "an image needs the path and name of its mask; " + MEND),
    ("mask of another size", "mask_size", "a mask has as many pixels as its image: resize one of them, masks without smoothing; " + MEND),
    (
        "mask value",
        "unknown_mask_value",
        "name the value in classes.txt beside the data, or leave its pixels out with --target ignore={value}; " + MEND,
    ),
    ("mask", "unreadable_masks", MEND),
)
"""How a reason begins, the kind of problem, what to do."""


def fault(reason: str) -> tuple[str, str] | None:
    """(kind, advice) for a reason why an image with a mask cannot be used; ``None`` where it is not about its mask."""
    value = re.search(r"\d+", reason)
    for begins, kind, advice in FAULTS:
        if reason.startswith(begins):
            return kind, advice.format(value=value[0] if value else "VALUE")
    return None


def remarks(dataset: Dataset) -> list[dict[str, Any]]:
    """Classes of which train has few pixels, or none."""
    shares = dict(zip(dataset.classes, dataset.facts.get("shares", ()), strict=False))
    absent = [name for name, share in shares.items() if share == 0]
    rare = [f"{name} ({share:.2%})" for name, share in shares.items() if 0 < share < RARE_SHARE]
    found = []
    if absent:
        found.append(
            _problem(
                "class_missing_in_train",
                "warning",
                absent,
                "no training pixel is of these classes: add images, or take them out of the file of classes",
            )
        )
    if rare:
        found.append(
            _problem("rare_classes", "note", rare, "few of the training pixels: judge by the IoU of each class, not by pixel accuracy")
        )
    return found


def _problem(kind: str, severity: str, names: list[str], advice: str) -> dict[str, Any]:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return {"kind": kind, "severity": severity, "where": f"train: {shown}", "count": len(names), "advice": advice}
