"""One class for each example: the class map of :mod:`regraft.data.class_map`."""

from __future__ import annotations

import numpy as np

from regraft.data import arrays, arrow, class_map
from regraft.data.examples import Examples
from regraft.data.targets.reader import Learnt, Read, Reader


def learn(found: Examples, sides: np.ndarray, reference: str) -> Learnt:
    return Learnt(class_map.learnt(found, sides, reference))


def read(found: Examples, sides: np.ndarray, learnt: Learnt, reference: str, allow_unknown: bool) -> Read:
    targets, unknown = class_map.targets(found, sides, learnt.classes, reference, owner=learnt.owner, allow_unknown=allow_unknown)
    return Read(arrow.array(targets, arrays.CLASS, null=targets < 0), targets, unknown)


READER = Reader(learn=learn, read=read)
