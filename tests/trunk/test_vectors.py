"""``vectors:PATH``: files of word vectors, the words that they know, and the recurrent network over them."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from made_vectors import glove, numbers
from regraft.errors import TrunkError
from regraft.trunk.load import load, rebuild
from regraft.trunk.vectors.read import read
from regraft.trunk.vectors.words import FIRST, WordTokenizer

WORDS = ["the", ",", "do", "n't", "it", "'s", "good", "film", "...", "3.5", "."]


def test_a_glove_file_is_read_as_it_is(tmp_path):
    found = read(glove(tmp_path / "glove.txt", WORDS), 100)
    assert found.words == tuple(WORDS)
    np.testing.assert_allclose(found.table, numbers(len(WORDS), 8), atol=1e-4)


def test_the_other_forms_say_the_same(tmp_path):
    plain = glove(tmp_path / "glove.txt", WORDS)
    (tmp_path / "glove.txt.gz").write_bytes(gzip.compress(plain.read_bytes()))
    table = read(plain, 100).table
    binary = b"".join(word.encode() + b" " + row.tobytes() + b"\n" for word, row in zip(WORDS, table, strict=True))
    (tmp_path / "w2v.bin").write_bytes(f"{len(WORDS)} 8\n".encode() + binary)
    save_file({"any": table}, tmp_path / "some.safetensors")
    (tmp_path / "some_vocab.json").write_text(json.dumps(WORDS))
    for path in (glove(tmp_path / "w2v.txt", WORDS, header=True), *(tmp_path / n for n in ("glove.txt.gz", "w2v.bin", "some.safetensors"))):
        found = read(path, 100)
        assert found.words == tuple(WORDS), path
        np.testing.assert_array_equal(found.table, table)


def test_the_first_words_of_a_large_file_are_taken(tmp_path):
    found = read(glove(tmp_path / "glove.txt", [*WORDS, "the"]), 5)
    assert found.words == tuple(WORDS[:5]) and found.total == len(WORDS) + 1


def test_a_word_with_a_space_in_it_keeps_it(tmp_path):
    assert read(glove(tmp_path / "glove.txt", ["the", ". . .", "b"]), 100).words == ("the", ". . .", "b")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"the 1 2 3\nof 1 2\n", r"line 2 is not a word and 3 numbers: 'of 1 2'"),
        ("a.txt", b"the 1 2 3\nof 1 x 3\n", r"line 2 is not a word and 3 numbers"),
        ("a.txt", b"the 1 nan 3\n", r"the vector of 'the' has numbers that are not finite"),
        ("a.txt", b"", r"its first line is no word with numbers behind it"),
        ("a.txt", b"2 3\n", r"it holds no vector"),
        ("a.bin", b"3 4\nthe \0\0", r"it ends before the 3 vectors that it announces"),
        ("a.bin", b"no header\n", r"its first line does not say how many vectors there are"),
        ("a.bin", (793_712_314).to_bytes(4, "little"), r"a model of fastText, not a table of vectors"),
        ("a.safetensors", b"", r"a_vocab.json, which names its words, does not stand beside it"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TrunkError, match=sentence):
        read(tmp_path / name, 100)


def test_a_table_without_a_word_for_each_row_is_refused(tmp_path):
    save_file({"any": numbers(3, 4)}, tmp_path / "a.safetensors")
    (tmp_path / "a_vocab.json").write_text('["one", "two"]')
    with pytest.raises(TrunkError, match=r"holds 1 tables, and a_vocab.json 2 words, where one row for each word is expected"):
        read(tmp_path / "a.safetensors", 100)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("The GOOD film", ["the", "good", "film"]),
        ("Don't, it’s good...", ["do", "n't", ",", "it", "'s", "good", "..."]),
        ("film,film 3.5!!!", ["film", ",", "film", "3.5", "!"]),
        ("ＧＯＯＤ a-film", ["good", "a", "-", "film"]),
    ],
)
def test_a_text_is_cut_the_way_english_vectors_are_made(text, pieces):
    assert WordTokenizer(WORDS, unknown=4).pieces(text) == pieces


def test_capitals_are_kept_where_the_vectors_have_them():
    made = WordTokenizer(["Paris", "paris", "the"], unknown=4)
    assert not made.lower and made.pieces("Paris The") == ["Paris", "the"]


def test_vectors_of_characters_read_character_by_character():
    made = WordTokenizer(["房", "间", "好", "a", "，"], unknown=4)
    assert made.by_character and made.pieces("房间 好Ａ，") == ["房", "间", "好", "a", "，"]


def test_writing_without_spaces_is_cut_into_the_longest_known_words():
    made = WordTokenizer(["房间", "很", "干净", "房间很", "服务", "酒店", "早餐"], unknown=4)
    assert made.pieces("房间很干净啦") == ["房间很", "干净", "啦"]


def test_words_without_a_vector_share_rows_and_are_told():
    made = WordTokenizer(WORDS, unknown=4)
    ids = made.ids("the zebra zebra")
    assert ids[0] == FIRST and ids[1] == ids[2] and len(made) - 4 <= ids[1] < len(made)
    total, missing = made.missing(["the zebra zebra", "good film"])
    assert total == 5 and missing == {"zebra": 2}


def test_of_a_pair_that_is_too_long_the_longer_text_gives_way():
    made = WordTokenizer(WORDS, unknown=4)
    whole = made([("the good film", "it")])["input_ids"][0]
    assert whole == [*made.ids("the good film"), 1, *made.ids("it")]
    assert made([("the good film", "it")], truncation=True, max_length=4)["input_ids"][0] == [*made.ids("the good"), 1, *made.ids("it")]
    assert len(made([("the good film", "it do the film")], truncation=True, max_length=6)["input_ids"][0]) == 6


def test_padding_changes_nothing(tmp_path):
    path = glove(tmp_path / "glove.txt", WORDS)
    for setting in ("cell=gru", "cell=lstm&layers=2", "attention=no"):
        trunk = load(f"vectors:{path}?width=6&unknown=4&{setting}")
        trunk.host.eval()
        ids = torch.tensor([[3, 4, 5, 6, 0, 0, 0], [3, 4, 5, 6, 7, 8, 9]])
        mask = torch.tensor([[1] * 4 + [0] * 3, [1] * 7])
        with torch.no_grad():
            both = trunk.features({"input_ids": ids, "attention_mask": mask})
            alone = trunk.features({"input_ids": ids[:1, :4], "attention_mask": mask[:1, :4]})
        torch.testing.assert_close(both[:1] if "no" not in setting else both[:1, :4], alone, atol=1e-6, rtol=0)


def test_both_directions_are_those_of_torchs_own_packed_network():
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    from regraft.trunk.vectors.recurrent import Recurrent, turned

    torch.manual_seed(0)
    layer, theirs = Recurrent("gru", 5, 3, 0.0), torch.nn.GRU(5, 3, batch_first=True, bidirectional=True)
    theirs.load_state_dict({**layer.there.state_dict(), **{f"{name}_reverse": value for name, value in layer.back.state_dict().items()}})
    x, mask = torch.randn(2, 6, 5), torch.tensor([[1] * 6, [1] * 4 + [0] * 2]).bool()
    expected, _ = pad_packed_sequence(theirs(pack_padded_sequence(x, mask.sum(1), batch_first=True))[0], batch_first=True)
    torch.testing.assert_close(layer(x, turned(mask))[mask], expected[mask])


def test_vectors_are_the_files_and_the_rest_is_random_by_seed(tmp_path):
    path = glove(tmp_path / "glove.txt", WORDS)
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        made.append(load(f"vectors:{path}?width=6&unknown=4").host.state_dict())
    np.testing.assert_array_equal(made[0]["embedding.weight"][FIRST : FIRST + len(WORDS)], read(path, 100).table)
    assert torch.equal(made[0]["embedding.weight"], made[2]["embedding.weight"])
    for name in set(made[0]) - {"embedding.weight"}:
        assert torch.equal(made[0][name], made[1][name]) and not torch.equal(made[0][name], made[2][name])


def test_the_stages_that_start_from_random_weights_are_told_and_rebuilt_ones_are_not(tmp_path):
    trunk = load(f"vectors:{glove(tmp_path / 'glove.txt', WORDS)}?layers=2&width=6")
    assert trunk.stage_names == ("embedding", "recurrent.0", "recurrent.1", "attention")
    assert trunk.fresh == ("recurrent.0", "recurrent.1", "attention")
    again = rebuild(trunk.source, trunk.assets)
    assert again.fresh == () and again.tokenizer.get_vocab() == trunk.tokenizer.get_vocab()
    assert {name: value.shape for name, value in again.host.state_dict().items()} == {
        n: v.shape for n, v in trunk.host.state_dict().items()
    }


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("cel=gru", r"word vectors have no setting 'cel'\ntry:   did you mean 'cell'\?"),
        ("cell=rnn", r"cell=rnn"),
        ("width=0", r"width: a whole number from 1"),
        ("dropout=1", r"dropout from 0 to below 1"),
        ("attention=maybe", r"attention=maybe"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(tmp_path, settings, sentence):
    with pytest.raises(TrunkError, match=sentence):
        load(f"vectors:{glove(tmp_path / 'glove.txt', WORDS)}?{settings}")


def test_a_file_that_is_not_there_says_which_forms_are_read():
    with pytest.raises(TrunkError, match="there is no such file\ntry:   an existing file: GloVe or word2vec text"):
        load("vectors:nowhere.txt")
