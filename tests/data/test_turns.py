"""Conversations as tokens: what is read, what is learned, and how several go into one row."""

from __future__ import annotations

import numpy as np
import pytest

from regraft.data import load
from regraft.data.encode import encode
from regraft.data.encoded import IGNORE
from regraft.data.language import REJECTED, filled, pack, shown
from regraft.data.template import pieces, prompt
from regraft.errors import RequestError
from regraft.spec import InputSpec
from small_decoder import FORGETFUL, byte_tokenizer, echoes, wishes, word, write

CHATML = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.role == 'assistant' %}<eos>{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ALTERNATING = "{{ raise_exception('roles must alternate') }}"
TALK = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Bye"), ("assistant", "See you.")]


def encoded(tmp_path, records, *, max_length=0, template=None):
    data = load(write(tmp_path / "talks.json", records), valid_fraction=0, test_fraction=0)
    return encode(data.splits["train"], InputSpec(kind="text", max_length=160), byte_tokenizer(template), max_length=max_length)


def learned(found):
    return [text for text, learns in found if learns]


def test_the_plain_template_learns_answers_and_their_end():
    found = pieces(TALK, byte_tokenizer())
    assert learned(found) == ["Hello.<eos>", "See you.<eos>"]
    assert "".join(text for text, _ in found).startswith("### System:\nBe brief.\n\n### User:\nHi\n\n### Assistant:\nHello.<eos>")


def test_the_tokenizers_own_template_is_used_where_it_has_one():
    found = pieces(TALK, byte_tokenizer(CHATML))
    assert learned(found) == ["Hello.<eos>", "See you.<eos>"]
    assert found[0] == ("<|system|>Be brief.\n<|user|>Hi\n<|assistant|>", False)


@pytest.mark.parametrize("template", [None, CHATML])
def test_a_prompt_is_what_stands_before_the_answer_in_training(template):
    tokenizer = byte_tokenizer(template)
    assert prompt(TALK[:2], tokenizer) == pieces(TALK[:3], tokenizer)[0][0]


def test_a_template_that_forgets_the_answers_leaves_nothing_to_learn(tmp_path):
    assert learned(pieces(TALK, byte_tokenizer(FORGETFUL))) == []
    assert encoded(tmp_path, echoes(3), template=FORGETFUL).learned.tolist() == [0, 0, 0]


def test_a_template_that_refuses_the_roles_says_so():
    with pytest.raises(RequestError, match=r"it refuses the turns system, user, assistant, user, assistant: roles must alternate"):
        pieces(TALK, byte_tokenizer(ALTERNATING))


def test_each_place_says_the_next_token_of_an_answer(tmp_path):
    made = encoded(tmp_path, echoes(2))
    ids, targets = made.batch([0])["input_ids"][0], made.target_batch([0])[0]
    places = np.flatnonzero(targets.numpy() != IGNORE)
    assert [int(t) for t in targets[places]] == [int(ids[place + 1]) for place in places]
    assert byte_tokenizer().decode(targets[places]) == f"{word(0)}!<eos>"
    assert made.learned.tolist() == [len(word(0)) + 2, len(word(1)) + 2]
    assert learned(shown(made, 0, byte_tokenizer())) == [f"{word(0)}!<eos>"]


def test_what_is_too_long_keeps_its_answer(tmp_path):
    long = [{"instruction": "Add " + "and ".join(map(str, range(40))), "input": "", "output": "It is 780."}]
    made = encoded(tmp_path, long, max_length=40)
    assert made.truncated == 1
    assert made.lengths.tolist() == [40]
    assert learned(shown(made, 0, byte_tokenizer())) == ["It is 780.<eos>"]


def test_a_pair_is_two_segments_of_one_row(tmp_path):
    made = encoded(tmp_path, wishes(2))
    batch, targets = made.batch([1]), made.target_batch([1])[0].numpy()
    segments = batch["segments"][0].numpy()
    assert sorted(set(segments.tolist())) == [1, 2]
    tokenizer = byte_tokenizer()
    assert tokenizer.decode(targets[targets >= 0]) == f"Yes, {word(1)}.<eos>"
    assert tokenizer.decode((REJECTED - targets)[targets <= REJECTED]) == f"No, {word(1)} is mine!<eos>"
    assert (segments[targets >= 0] == 1).all()
    assert (segments[targets <= REJECTED] == 2).all()
    assert made.targets.shape == (2, 2)


def test_packing_keeps_every_token_once(tmp_path):
    made = encoded(tmp_path, echoes(20))
    packed = pack(made, 160, byte_tokenizer())
    assert packed.lengths.sum() == made.lengths.sum()
    assert packed.learned.sum() == made.learned.sum()
    assert max(packed.lengths) <= 160
    assert len(packed) == len(made) / 2
    assert packed.preprocessing != made.preprocessing
    again = pack(made, 160, byte_tokenizer())
    assert again.digests == packed.digests


def test_rows_fill_their_bins():
    sizes = np.array([5, 9, 4, 6, 1, 10, 3])
    bins = filled(sizes, 10)
    assert sorted(row for rows in bins for row in rows) == list(range(7))
    assert max(sizes[rows].sum() for rows in bins) <= 10
    assert len(bins) == 4
    assert filled(np.array([12, 3]), 10) == [[0], [1]]
