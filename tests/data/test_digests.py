"""Content hashes as Arrow keeps them: read like a list, and one hash of all the same as of a list."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from regraft import digest
from regraft.data.digests import CHUNK, Digests

TEXTS = [digest.of_bytes(str(number).encode()) for number in range(CHUNK + 3)]


def test_a_text_is_hashed_as_its_bytes_are() -> None:
    assert [digest.of_text(text) for text in ("", "card", "卡 ü")] == [digest.of_bytes(text.encode()) for text in ("", "card", "卡 ü")]


def in_pieces(texts: list[str]) -> Digests:
    return Digests(pa.chunked_array([pa.array(texts[:5]), pa.array(texts[5:])]))


def test_they_are_read_like_a_list() -> None:
    found = in_pieces(TEXTS)
    assert found == TEXTS and list(found) == TEXTS and len(found) == len(TEXTS)
    assert found[7] == TEXTS[7] and found[-1] == TEXTS[-1] and found[3:9] == TEXTS[3:9]
    assert found != TEXTS[:-1] and found != [*TEXTS[:-1], TEXTS[0]]
    assert found.take(np.array([6, 2, 6])) == [TEXTS[6], TEXTS[2], TEXTS[6]]
    assert found + Digests.of(TEXTS[:2]) == [*TEXTS, *TEXTS[:2]]
    assert Digests.of(found) is found
    with pytest.raises(IndexError):
        found[len(TEXTS)]


def test_keys_are_the_first_eight_bytes() -> None:
    assert in_pieces(TEXTS).keys.tolist() == [int(text[:16], 16) for text in TEXTS]
    assert Digests.of(["03", "0a"]).keys.tolist() == [3, 10]
    assert Digests.of([]).keys.tolist() == []


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 3])
def test_one_digest_of_all_is_that_of_a_list(count: int) -> None:
    texts = TEXTS[:count]
    assert Digests.of(texts).together("last") == digest.of_digests([*texts, "last"])
    assert Digests.of(texts).together() == digest.of_digests(texts)


def test_a_joined_column_is_not_copied() -> None:
    first, second = Digests.of(TEXTS[:4]), Digests.of(TEXTS[4:9])
    both = (first + second).column
    assert [chunk.buffers()[2].address for chunk in both.chunks] == [one.column.chunk(0).buffers()[2].address for one in (first, second)]
