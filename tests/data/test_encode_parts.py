"""Pairs and sentences as token ids: types of a pair, a tag at the first piece of its word, and what the length limit cuts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from regraft.data import arrays
from regraft.data.dataset import Split, schema_of, unlabelled
from regraft.data.encode import concat, encode
from regraft.data.encoded import IGNORE
from regraft.spec import FORMS, PART, InputSpec

SPEC = InputSpec(kind="text", max_length=16)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import BertTokenizerFast

    path = tmp_path_factory.mktemp("words") / "vocab.txt"
    path.write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "jo", "##han", "lives", "here", "it", "rains"]), encoding="utf-8"
    )
    return BertTokenizerFast(str(path))


def tagged(sentences: list[list[str]], tags: list[list[int]]) -> Split:
    count = len(sentences)
    columns = [
        pa.array([PART.join(words) for words in sentences]),
        pa.array(tags, arrays.TAGS),
        pa.array([f"{i:064x}" for i in range(count)]),
        pa.array([""] * count),
    ]
    return Split("train", pa.Table.from_arrays(columns, schema=schema_of(arrays.TAGS)), "words")


def test_a_tag_stands_at_the_first_piece_of_its_word(tokenizer):
    made = encode(tagged([["johan", "lives"], ["here"]], [[1, 0], [2]]), SPEC, tokenizer)
    assert made.batch([0])["input_ids"].tolist() == [[2, 5, 6, 7, 3]]
    assert made.target_batch([0]).tolist() == [[IGNORE, 1, IGNORE, 0, IGNORE]]
    assert made.target_batch([1, 0]).shape == made.batch([1, 0])["input_ids"].shape
    assert [row.tolist() for row in made.targets] == [[1, 0], [2]]


def test_views_and_joins_keep_targets_beside_their_inputs(tokenizer):
    first, second = (encode(tagged([words], [[4] * len(words)]), SPEC, tokenizer) for words in (["here"], ["johan", "lives", "here"]))
    both = concat(first, second)
    assert both.target_batch([1, 0]).tolist() == [[IGNORE, 4, IGNORE, 4, 4, IGNORE], [IGNORE, 4, IGNORE, IGNORE, IGNORE, IGNORE]]
    assert both.subset(np.array([1])).target_batch([0]).tolist() == second.target_batch([0]).tolist()


def test_words_behind_the_limit_go_without_a_tag_and_are_counted(tokenizer):
    made = encode(tagged([["johan"] * 4, ["here"]], [[1] * 4, [2]]), SPEC, tokenizer, max_length=6)
    assert made.batch([0])["input_ids"].shape == (1, 6)
    assert int((made.target_batch([0]) != IGNORE).sum()) == 2
    assert made.truncated == 1 and len(made.targets[0]) == 4


def test_a_word_that_the_tokenizer_drops_keeps_its_place(tokenizer):
    made = encode(tagged([["johan", "\u200b", "here"]], [[1, 2, 3]]), SPEC, tokenizer)
    kept = made.target_batch([0])
    assert kept[kept != IGNORE].tolist() == [1, 2, 3]


def test_a_pair_has_types_and_the_longer_half_gives_way(tokenizer):
    split = unlabelled([PART.join(("it rains", "here")), PART.join(("it " * 20, "here"))], FORMS["text-pair-classification"], 2)
    made = encode(split, SPEC, tokenizer)
    batch = made.batch([0])
    assert batch["input_ids"].tolist() == [[2, 9, 10, 3, 8, 3]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1]]
    assert made.batch([1])["input_ids"][0, -2:].tolist() == [8, 3] and made.truncated == 1


def test_the_number_of_tags_follows_the_words_to_predict(tokenizer):
    made = encode(unlabelled([PART.join(["johan", "lives"])], FORMS["token-classification"], 3), SPEC, tokenizer)
    assert int((made.target_batch([0]) != IGNORE).sum()) == 2
