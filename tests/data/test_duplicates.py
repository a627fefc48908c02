"""Groups of near duplicates: found, verified, and kept from running together."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from regraft.data import duplicates, keys

LIMIT = 100_000


def groups(texts: list[str], **options: float) -> list[int]:
    return duplicates.of_texts(pa.chunked_array([pa.array(texts, pa.string())]), limit=LIMIT, **options).first.tolist()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Where is MY card?!", "where is my card"),
        ("ＡＢＣ　１２３", "abc 0"),
        ("a-b_c", "a b c"),
        ("?!", "?!"),
        ("价格：¥ 200。", "价格 ¥ 0"),
        ("I like it :)", "i like it"),
    ],
)
def test_the_key_is_what_is_left_when_dress_is_taken_off(text, key):
    assert keys.normalised(pa.array([text])).to_pylist() == [key]


def test_punctuation_and_spaces_become_one_space_wherever_they_stand():
    pieces = ["a", "é", "中", " ", "  ", ",", "- ", " \u3000", "\t", "\u00a0", "\u2028", "\x00", "$", "_"]
    texts = pa.array(["".join(each) for each in itertools.product(pieces, repeat=4)])
    plainly = pc.replace_substring_regex(texts, r"[\p{P}\p{Z}\p{C}]+", " ")
    assert pc.replace_substring_regex(texts, keys.NOT_SAID, " ").equals(plainly)


def test_hashes_of_texts_never_change():
    assert keys.hashes(pa.array(["card"])).tolist() == [0x60781DBC780721E8]


def test_near_copies_are_grouped_with_the_first():
    long = "i have ordered a new card two weeks ago and it has still not come to my address"
    assert groups([long, "what is my balance", long + " yet", "What is my balance?"]) == [0, 1, 0, 1]


def test_short_questions_with_different_meaning_are_not_grouped():
    texts = [
        "how do I top up",
        "how can I top up?",
        "how do I top up my card",
        "how do I close up",
        "why can I not top up",
        "can I top up",
        "top up how?",
    ]
    assert groups(texts) == list(range(7))


def test_similarity_does_not_run_through_a_chain():
    words = [f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(200)]
    chain = [" ".join(words[at : at + 60]) for at in range(100)]  # each shares 59 of 60 words with the next
    sizes = np.bincount(groups(chain))
    assert 2 <= sizes.max() <= 20


def test_a_huge_bucket_costs_linear_time():
    many = [f"the very same long sentence about a card that did not arrive, said by customer {chr(0x4E00 + i)}" for i in range(4_000)]
    begin = time.perf_counter()
    assert len(set(groups(many))) == 1
    assert time.perf_counter() - begin < 20


def test_above_the_limit_only_equal_keys_are_grouped():
    texts = pa.chunked_array([pa.array(["A b c", "a b c!", "a b c d", "x"])])
    found = duplicates.of_texts(texts, limit=2)
    assert (found.first.tolist(), found.near) == ([0, 0, 2, 3], False)


def test_jaccard_equals_sets():
    rng = np.random.default_rng(3)
    texts = ["".join(rng.choice(list("abcd "), 40)) for _ in range(50)]
    shingles, starts = duplicates._shingles(pa.chunked_array([pa.array(texts)]))
    sets = [{f" {t} "[i : i + 3] for i in range(len(t))} for t in texts]
    a, b = rng.integers(0, 50, 200), rng.integers(0, 50, 200)
    expected = [len(sets[i] & sets[j]) / len(sets[i] | sets[j]) for i, j in zip(a, b, strict=True)]
    assert duplicates._jaccard(shingles, starts, a, b) == pytest.approx(expected)


def test_images_within_three_bits_and_grey_levels_are_grouped():
    rng = np.random.default_rng(4)
    dhash = rng.integers(0, 2**63, 300, dtype=np.uint64)
    thumbs = rng.integers(0, 250, (300, 16, 16)).astype(np.uint8)
    dhash[200], thumbs[200] = dhash[5] ^ np.uint64(0b10010000000000000000001), thumbs[5] + 2
    dhash[201], thumbs[201] = dhash[6], 255 - thumbs[6]  # equal hash, other picture
    found = duplicates.of_images(np.arange(300, dtype=np.uint64), dhash, thumbs).first
    assert found[200] == 5
    assert (np.delete(found, 200) == np.delete(np.arange(300), 200)).all()


def test_how_many_texts_are_worked_on_at_once_changes_nothing(monkeypatch):
    texts = [f"question {'abcdefgh'[n % 7] * (n % 5 + 1)} about card {n // 3} and the fee" for n in range(40)]
    whole = duplicates._signatures(*duplicates._shingles(pa.chunked_array([texts])))
    monkeypatch.setattr(duplicates, "CACHED_TEXTS", 7)
    assert np.array_equal(duplicates._signatures(*duplicates._shingles(pa.chunked_array([texts]))), whole)


def test_no_texts_are_no_groups():
    assert groups([]) == []
