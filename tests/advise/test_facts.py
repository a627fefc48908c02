from __future__ import annotations

import numpy as np

from regraft.advise.facts import Facts


def test_classes_are_counted_also_those_without_an_example():
    facts = Facts.of(np.array([0, 0, 0, 2]), 4, kind="text", mean_length=9.0)
    assert facts.counts == (3, 0, 1, 0)
    assert (facts.num_examples, facts.num_classes) == (4, 4)
    assert facts.majority_fraction == 0.75
    assert facts.mean_length == 9.0


def test_they_read_as_a_phrase():
    assert str(Facts(kind="image", counts=(600, 612))) == "1,212 training examples in 2 classes, 606 in the median class"
