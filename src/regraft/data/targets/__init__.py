"""How labels become targets: one file for each form that a target may have.

labels as they are written --> learn (from train alone) --> classes and facts --> read (every split) --> a column of targets, what cannot be used
"""

from __future__ import annotations

from regraft.data.targets import answers, classes, levels, masks, numbers, sets, tags, transcripts
from regraft.data.targets.reader import Learnt, Read, Reader
from regraft.spec import Target

__all__ = ["READERS", "Learnt", "Read", "Reader"]

READERS: dict[Target, Reader] = {
    "class": classes.READER,
    "level": levels.READER,
    "number": numbers.READER,
    "set": sets.READER,
    "tags": tags.READER,
    "mask": masks.READER,
    "transcript": transcripts.READER,
    "text": answers.READER,
    "preference": answers.READER,
}
