"""Speech written down: the loss and what it does not pay for, greedy and beam decoding, word and character errors."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from regraft.data import arrays
from regraft.data.dataset import unlabelled
from regraft.data.encoded import IGNORE
from regraft.errors import RequestError
from regraft.evaluate import transcripts
from regraft.spec import FORMS
from regraft.tasks import ctc, of
from regraft.tasks.speech import NEVER, SpellingHead
from regraft.testing.hosts import trunk_of

NAME = "speech-recognition"
FACTS = {"classes": [" ", "a", "b"], "mean_characters": 1.0}


def frames_of(*probabilities):
    return np.log(np.array(probabilities, np.float64))


def by_hand(frames, length):
    """text -> probability, from every path there is."""
    blank, found = frames.shape[1] - 1, {}
    for path in itertools.product(range(blank + 1), repeat=length):
        text = tuple(key for key, _ in itertools.groupby(path) if key != blank)
        found[text] = found.get(text, 0.0) + math.exp(sum(frames[place, one] for place, one in enumerate(path)))
    return found


def test_the_probability_of_a_text_is_that_of_all_its_paths():
    chance = np.random.default_rng(0)
    frames = np.log(chance.dirichlet(np.ones(4), size=5))
    table = by_hand(frames, 5)
    texts = list(table)
    assert np.exp(ctc.log_probabilities([frames] * len(texts), texts)) == pytest.approx([table[text] for text in texts])
    assert ctc.beam(frames, 1_000)[0] == max(table, key=table.__getitem__)


def test_a_beam_finds_a_text_that_the_likeliest_path_misses():
    frames = frames_of([0.4, 1e-9, 0.6], [0.4, 1e-9, 0.6])  # one "a" has three paths, nothing has one
    assert ctc.greedy(frames) == ()
    assert ctc.likeliest(frames, 4) == (0,)


def test_a_beam_is_never_less_likely_than_the_likeliest_path():
    chance = np.random.default_rng(1)
    for _ in range(20):
        frames = np.log(chance.dirichlet(np.full(5, 0.3), size=8))
        texts = [ctc.greedy(frames), ctc.likeliest(frames, 3)]
        greedy, best = ctc.log_probabilities([frames] * 2, texts)
        assert best >= greedy - 1e-12


def test_repeats_become_one_unless_a_blank_parts_them():
    a, b, blank = np.eye(3) * 0.98 + 0.01
    assert ctc.greedy(frames_of(a, a, b, b)) == (0, 1)
    assert ctc.greedy(frames_of(a, blank, a, b)) == (0, 0, 1)
    assert ctc.needed(np.array([0, 0, 1, 1])) == 6


def test_the_loss_is_that_of_the_clip_alone_whatever_it_is_padded_with():
    task, head = of(NAME).bound(FACTS), SpellingHead(6, 3, steps=2).eval()
    torch.manual_seed(0)
    features, mask = torch.randn(2, 5, 6), torch.ones(2, 50, dtype=torch.long)
    mask[1, 30:] = 0
    targets = torch.tensor([[1, 2, 2], [2, 1, IGNORE]])
    alone = task.losses(head(features[1:, :3], mask[1:, :30]), targets[1:, :2])
    together = task.losses(head(features, mask), targets)
    assert together[1].item() == pytest.approx(alone.item(), rel=1e-5)
    scores = task.kept(head(features, mask).detach(), targets)
    assert [len(row) for row in scores] == [10, 6]
    smoothed = task.losses(head(features, mask), targets, label_smoothing=0.1)
    again = task.losses(head(features[1:, :3], mask[1:, :30]), targets[1:, :2], label_smoothing=0.1)
    assert smoothed[1].item() == pytest.approx(again.item(), rel=1e-5) and smoothed[1] != together[1]


def test_a_transcript_longer_than_its_frames_costs_nothing_and_teaches_nothing():
    task = of(NAME).bound(FACTS)
    logits = torch.randn(2, 4, 4, requires_grad=True)
    losses = task.losses(logits, torch.tensor([[1, 1, 1], [1, 2, IGNORE]]))  # the first needs five frames
    losses.sum().backward()
    assert losses[0].item() == 0.0 and losses[1].item() > 0
    assert logits.grad[0].abs().max() == 0.0 and logits.grad[1].abs().max() > 0
    assert torch.isfinite(logits.grad).all()


def test_behind_the_end_of_a_clip_nothing_is_said():
    head = SpellingHead(6, 3, steps=1)
    logits = head(torch.randn(1, 4, 6), torch.tensor([[1, 1, 0, 0]]))
    assert logits[0, 2:, :-1].unique().tolist() == [NEVER] and logits[0, 2:, -1].tolist() == [0.0, 0.0]


def test_a_frame_of_forty_milliseconds_has_room_for_two_characters():
    assert of(NAME).head(trunk_of(name="mel_resnet"), 3).steps == 2
    assert of(NAME).head(trunk_of(name="wav2vec2"), 3).steps == 1


def test_a_head_begins_with_what_another_knows_of_its_characters_and_of_the_blank():
    known, made = SpellingHead(6, 3, steps=2), SpellingHead(6, 4, steps=2)
    nn.init.normal_(known.linear.bias)
    fresh = made.linear.weight.detach().clone()
    features = torch.randn(1, 5, 6)
    theirs = known(features)
    ours = of(NAME).carry(known, made, ("a", "b", "c"), ("b", "c", "x", "a"))(features)
    assert torch.allclose(ours[..., [3, 0, 1, 4]], theirs)
    assert torch.equal(made.linear.weight.view(2, 5, 6)[:, 2], fresh.view(2, 5, 6)[:, 2])


def test_a_head_for_frames_of_another_length_begins_afresh():
    made = SpellingHead(6, 3, steps=1)
    before = made.linear.weight.detach().clone()
    assert of(NAME).carry(SpellingHead(6, 3, steps=2), made, ("a", "b", "c"), ("a", "b", "c")) is made
    assert torch.equal(made.linear.weight, before)


def test_a_trunk_that_pools_by_itself_is_refused():
    trunk = trunk_of(name="mel_resnet")
    trunk.pooling = "none"
    with pytest.raises(RequestError, match=r"found: it gives one vector for a whole clip\ntry:   a model with a vector for each frame"):
        of(NAME).head(trunk, 3)


def test_word_and_character_errors_are_counted_over_all_utterances_together():
    counts = transcripts.counted(["one too", "", "six six"], ["one two three", "four", "six"])
    document = transcripts.document(counts)
    assert document["edits"]["words"] == {"substituted": 1, "deleted": 2, "inserted": 1, "said": 5}
    assert document["edits"]["characters"]["said"] == 13 + 4 + 3
    assert document["metrics"]["wer"]["value"] == pytest.approx(4 / 5)
    assert document["metrics"]["cer"]["value"] == pytest.approx((1 + 6 + 4 + 4) / 20)
    assert transcripts.quality(counts).tolist() == pytest.approx([-7 / 13, -1, -4 / 3])


def test_a_perfect_answer_has_an_interval_that_says_how_little_a_few_examples_show():
    metric = transcripts.document(transcripts.counted(["a"] * 20, ["a"] * 20))["metrics"]["wer"]
    assert metric["value"] == metric["low"] == 0.0 and 0.1 < metric["high"] < 0.25


def test_a_prediction_has_the_text_and_its_probability():
    task = of(NAME).bound(FACTS)
    frames = frames_of([0.01, 0.97, 0.01, 0.01], [0.01, 0.01, 0.97, 0.01])
    (made,) = task.predictions(task.answers(arrays.ragged([frames])), FACTS["classes"], ["x.wav"])
    assert made["text"] == "ab" and made["input"] == "x.wav"
    assert made["probability"] == pytest.approx(by_hand(frames, 2)[(1, 2)])


def test_a_character_that_is_no_class_counts_as_an_error_and_is_shown():
    task = of(NAME).bound(FACTS)
    answers = task.answers(arrays.ragged([frames_of([0.01, 0.97, 0.01, 0.01])]))
    targets = arrays.ragged([np.array([1, -ord("é")])])
    assert task.document(answers, targets, ())["metrics"]["cer"]["value"] == 0.5
    (mistake,) = task.mistakes(answers, targets, (), 3)
    assert (mistake.label, mistake.predicted) == ("aé", "a")


def test_fewer_word_errors_are_better():
    task = of(NAME).bound(FACTS)
    sure = lambda *characters: np.log(np.eye(4)[list(characters)] * 0.96 + 0.01)  # noqa: E731
    targets = arrays.ragged([np.array([1, 2])] * 40)
    right, wrong = (task.answers(arrays.ragged([sure(*c)] * 40)) for c in ((1, 2), (2, 1)))
    verdict = task.compare(right, wrong, targets, ())
    assert (verdict.verdict, verdict.metric, verdict.wins) == ("better", "wer", 40)


def test_an_input_without_a_transcript_has_an_empty_one():
    assert unlabelled(["a.wav", "b.wav"], FORMS[NAME], 3).targets[1].tolist() == []
