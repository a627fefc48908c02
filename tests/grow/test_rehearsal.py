"""What is learned again in a step: everything where that is cheap, no more than what is new where the trunk moves, never what watches."""

from __future__ import annotations

import pyarrow as pa
import pytest

from regraft.digest import of_bytes
from regraft.grow.rehearsal import WATCHING, rehearsal
from regraft.tune.kept import LEAST, Kept


def kept(label: str, count: int, start: int = 0) -> Kept:
    texts = [f"{label} {number}" for number in range(start, start + count)]
    digests = [of_bytes(text.encode()) for text in texts]
    return Kept(pa.table({"input": texts, "label": [label] * count, "digest": digests}))


def texts(tables: tuple[Kept, ...]) -> set[str]:
    return {text for table in tables for text in table.table.column("input").to_pylist()}


def test_everything_is_learned_again_but_one_in_ten_that_watches():
    found = rehearsal([kept("a", 200), kept("b", 40)])
    assert not texts(found.learned) & texts(found.watching)
    assert len(found) + sum(map(len, found.watching)) == 240
    assert 10 <= len(texts(found.watching)) <= 40 and WATCHING == 10


def test_none_watches_where_valid_decides_nothing():
    found = rehearsal([kept("a", 200), kept("b", 40)], watched=False)
    assert len(found) == 240 and found.counts == {"a": 200, "b": 40} and not found.watching


def test_no_more_old_examples_are_learned_again_than_there_are_new_ones():
    found = rehearsal([kept("a", 200), kept("b", 200)], new=120)
    assert found.counts == {"a": 60, "b": 60} and len(found) == 120


def test_of_each_class_some_are_learned_again_however_few_are_new():
    assert rehearsal([kept("a", 200), kept("b", 200)], new=2).counts == {"a": LEAST, "b": LEAST}


def test_the_same_examples_are_chosen_in_whatever_order_and_tables_they_lie():
    one = rehearsal([kept("a", 100), kept("b", 100)], new=60)
    other = rehearsal([kept("b", 100), kept("a", 50, start=50), kept("a", 50)], new=60)
    assert texts(one.learned) == texts(other.learned) and texts(one.watching) == texts(other.watching)


@pytest.mark.parametrize(("new", "unequal"), [([90], False), ([91, 95], True), ([], False)])
def test_classes_are_unequal_where_new_ones_outweigh_the_old(new, unequal):
    assert rehearsal([kept("a", 100), kept("b", 100)], new=120).is_unequal(new) == unequal


def test_nothing_kept_is_nothing_learned_again():
    found = rehearsal([], new=10)
    assert len(found) == 0 and found.watching == () and not found.is_unequal([10])
