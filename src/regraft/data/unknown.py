"""Labels that were never learnt: those that train lacks, or that a model which is to be measured does not know."""

from __future__ import annotations

from regraft.errors import DataError

TRAIN, MODEL = "train", "the model"
NOT_IN_TRAIN, NOT_OF_MODEL = " is not in train", " is not known to the model"


def reason(kind: str, label: str, owner: str) -> str:
    """Why a row is listed. ``kind``: label or tag; ``owner``: ``TRAIN`` or ``MODEL``, who would have to know it."""
    return f"{kind} {label!r}{NOT_IN_TRAIN if owner == TRAIN else NOT_OF_MODEL}"


def refusal(reference: str, owner: str, what: str, listed: str, *, whole: str, advice: str = "", rows: str = "rows") -> DataError:
    """The error that names them. ``what``: labels or tags, ``listed`` those; ``whole``: what all splits must share; ``advice``: instead of the usual one."""
    asked, usual = f"one {whole} for all splits of {reference}", f"give train examples of them, or mend the {what}"
    if owner == MODEL:
        asked, usual = f"read {reference} with the {what} of the model", f"mend the {what}, or let the model learn them: regraft grow"
    found = f"{what} that {owner} does not have: {listed}"
    return DataError(asked, found, advice or f"{usual}; to go on without these {rows}: --allow-rejected")
