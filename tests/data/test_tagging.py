"""Schemes of tags: which one it is, where it is broken, which entities it marks."""

from __future__ import annotations

import pytest

from regraft.data.tagging import as_bio, classes_of, fault, plain_spans, scheme_of, spans

SENTENCES = {
    "BIO": ["B-per", "I-per", "O", "B-loc", "B-loc"],
    "IOB1": ["I-per", "I-per", "O", "I-loc", "B-loc"],
    "BIOES": ["B-per", "E-per", "O", "S-loc", "S-loc"],
    "BILOU": ["B-per", "L-per", "O", "U-loc", "U-loc"],
    "BMES": ["B-per", "E-per", "O", "S-loc", "S-loc"],
    "plain": ["NOUN", "NOUN", "O", "VERB", "VERB"],
}
BOTH = [("per", 0, 1), ("loc", 3, 3), ("loc", 4, 4)]


def test_the_scheme_is_read_off_the_prefixes():
    found = {name: scheme_of([tags]) for name, tags in SENTENCES.items()}
    assert found == {**{name: name for name in SENTENCES}, "BMES": "BIOES"}, "BMES shows only where an entity has three words"
    assert scheme_of([["B-per", "M-per", "E-per"]]) == "BMES"


@pytest.mark.parametrize("name", ["BIO", "BIOES", "BILOU", "BMES"])
def test_every_scheme_marks_the_same_entities(name):
    assert spans(SENTENCES[name]) == BOTH
    assert fault(SENTENCES[name], name) == ""


def test_iob1_written_as_bio_marks_the_same_entities():
    assert as_bio(SENTENCES["IOB1"]) == SENTENCES["BIO"]


def test_plain_tags_mark_words():
    assert plain_spans(["NOUN", "O", "NOUN"]) == [("NOUN", 0, 0), ("NOUN", 2, 2)]


@pytest.mark.parametrize(
    ("tags", "scheme", "found"),
    [
        (["O", "I-per"], "BIO", "I-per after O at word 2 breaks BIO"),
        (["B-loc", "I-per"], "BIO", "I-per after B-loc at word 2 breaks BIO"),
        (["I-per"], "BIO", "I-per after the beginning at word 1 breaks BIO"),
        (["B-per", "O"], "BIOES", "B-per at word 1 is never closed, which breaks BIOES"),
        (["B-per", "I-per"], "BIOES", "I-per at word 2 is never closed, which breaks BIOES"),
        (["O", "E-per"], "BMES", "E-per after O at word 2 breaks BMES"),
    ],
)
def test_a_broken_sequence_is_named_with_its_place(tags, scheme, found):
    assert fault(tags, scheme) == found


def test_broken_answers_are_read_as_conlleval_does():
    """The cases by which seqeval's own tests tell its lenient mode from others."""
    assert spans(["O", "I-per", "I-per"]) == [("per", 1, 2)]
    assert spans(["B-per", "I-loc"]) == [("per", 0, 0), ("loc", 1, 1)]
    assert spans(["B-per", "E-per", "E-per"]) == [("per", 0, 1), ("per", 2, 2)]
    assert spans(["S-per", "I-per", "O"]) == [("per", 0, 0), ("per", 1, 1)]


def test_outputs_hold_every_prefix_of_every_type():
    assert classes_of(["O", "B-per", "I-loc"], "BIO") == ("O", "B-loc", "I-loc", "B-per", "I-per")
    assert classes_of(["VERB", "NOUN"], "plain") == ("NOUN", "VERB")
