"""A tag for each word of a sentence, in one of the schemes of :mod:`regraft.data.tagging`."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from regraft.data import arrays, arrow
from regraft.data.dataset import Rejected
from regraft.data.examples import Examples
from regraft.data.split import training_rows
from regraft.data.tagging import OUTSIDE, Scheme, as_bio, classes_of, fault, scheme_of
from regraft.data.targets.reader import Learnt, Read, Reader, some, taken
from regraft.data.unknown import reason, refusal
from regraft.errors import DataError
from regraft.spec import PART, SPLITS


def learn(found: Examples, sides: np.ndarray, reference: str) -> Learnt:
    """``facts["scheme"]``: the scheme, after IOB1 was written as BIO."""
    rows = training_rows(sides, reference)
    codes = np.unique(arrow.numbers(found.table.column("target"))[rows])
    sentences = [found.labels[code].split(PART) for code in codes]
    scheme = scheme_of(sentences)
    tags = {tag for sentence in sentences for tag in sentence}
    if not tags - {OUTSIDE}:
        raise DataError(f"read the tags of {reference}", "every tag is O: there is nothing to find", "--target names another column")
    said = [f"Tags are written in {scheme}." if scheme != "plain" else "Tags are plain: each names the class of its word."]
    if scheme == "IOB1":
        said = ["Tags are IOB1 (I begins an entity unless two touch) and read as BIO."]
    read_as = cast(Scheme, "BIO" if scheme == "IOB1" else scheme)
    classes = classes_of(tags, read_as)
    mean_words = float(np.mean([len(sentence) for sentence in sentences]))
    return Learnt(classes, {"scheme": read_as, "written": scheme, "mean_words": mean_words, "classes": list(classes)}, tuple(said))


def read(found: Examples, sides: np.ndarray, learnt: Learnt, reference: str, allow_unknown: bool) -> Read:
    """Sentences whose tags break their scheme are listed; tags that train does not have are an error, or (``allow_unknown``) listed."""
    known = {name: index for index, name in enumerate(learnt.classes)}
    values, faults, unknown = [], [], set()
    for label in found.labels:
        tags = label.split(PART)
        if learnt.facts["written"] == "IOB1":
            tags = as_bio(tags)
        absent = sorted(set(tags) - known.keys())
        unknown |= set(absent)
        values.append([known.get(tag, -1) for tag in tags])
        faults.append(reason("tag", absent[0], learnt.owner) if absent else fault(tags, learnt.facts["scheme"]))
    if unknown and not allow_unknown:
        raise refusal(reference, learnt.owner, "tags", some(sorted(unknown)), whole="set of tags", rows="sentences")
    return _evened(taken(found, sides, values, faults=faults, kind=arrays.TAGS), found, sides)


def _evened(made: Read, found: Examples, sides: np.ndarray) -> Read:
    """Without the sentences that have more or fewer tags than words; they are listed."""
    codes = arrow.numbers(found.table.column("target"))
    num_tags = np.array([label.count(PART) + 1 for label in found.labels])[codes]
    num_words = np.array([text.count(PART) + 1 for text in found.table.column("input").to_pylist()])
    uneven = (num_tags != num_words) & (made.strata >= 0)
    where = found.table.column("where")
    listed = [
        Rejected(where[row].as_py(), f"{num_words[row]} words and {num_tags[row]} tags", SPLITS[sides[row]] if sides[row] >= 0 else "")
        for row in np.flatnonzero(uneven).tolist()
    ]
    column = pc.if_else(arrow.array(~uneven), made.column, pa.nulls(1, arrays.TAGS)[0])
    return Read(column, np.where(uneven, -1, made.strata), [*made.rejected, *listed])


READER = Reader(learn=learn, read=read)
