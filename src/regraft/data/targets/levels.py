"""A level of a scale: classes that are numbers, in the order of their values (stars, grades, stages of a disease)."""

from __future__ import annotations

import numpy as np

from regraft.data.examples import Examples
from regraft.data.targets import classes
from regraft.data.targets.numbers import value_of
from regraft.data.targets.reader import Learnt, Reader, some
from regraft.errors import DataError


def learn(found: Examples, sides: np.ndarray, reference: str) -> Learnt:
    """``facts["levels"]``: the value of each class. Raises ``DataError`` for levels that are words: no spelling says their order."""
    learnt = classes.learn(found, sides, reference)
    words = [name for name in learnt.classes if value_of(name) is None]
    if words:
        advice = "write the levels as numbers in their order (0, 1, 2, ...), or take the order for nothing with a classification task"
        raise DataError(f"read the levels of {reference}", f"levels that are no numbers: {some(words)}", advice)
    values = {name: float(value_of(name) or 0.0) for name in learnt.classes}
    ordered = tuple(sorted(learnt.classes, key=lambda name: values[name]))
    return Learnt(ordered, {"levels": [values[name] for name in ordered]})


READER = Reader(learn=learn, read=classes.read)
