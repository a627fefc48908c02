"""Token classification: loss at the words alone, answers that keep to the scheme, words behind the limit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from regraft import tasks
from regraft.data.arrays import ragged
from regraft.data.encoded import IGNORE
from regraft.data.tagging import fault
from regraft.errors import RequestError
from regraft.spec import InputSpec
from regraft.tasks.tokens import allowed, best_path, collect, losses
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Trunk

CLASSES = {"BIO": ["O", "B-a", "I-a", "B-b", "I-b"], "BIOES": ["O", *(f"{p}-{t}" for t in "ab" for p in "BIES")]}


def test_the_loss_looks_at_the_words_alone():
    logits = torch.randn(2, 4, 3)
    targets = torch.tensor([[IGNORE, 1, IGNORE, 2], [IGNORE, 0, IGNORE, IGNORE]])
    expected = -logits.log_softmax(2)[0, [1, 3], [1, 2]].sum()
    assert losses(logits, targets)[0] == pytest.approx(float(expected), abs=1e-5)
    assert [row.shape for row in collect(logits, targets)] == [(2, 3), (1, 3)]
    halved = tasks.of("token-classification").bound({"scheme": "BIO", "mean_words": 2.0})
    assert torch.allclose(halved.losses(logits, targets), losses(logits, targets) / 2)


@pytest.mark.parametrize("scheme", CLASSES)
def test_no_answer_breaks_the_scheme(scheme):
    rng, steps = np.random.default_rng(0), allowed(CLASSES[scheme], scheme)
    for length in (1, 2, 7, 30):
        table = rng.dirichlet(np.ones(len(CLASSES[scheme])), size=length)
        assert fault([CLASSES[scheme][tag] for tag in best_path(table, steps)], scheme) == ""


def test_where_nothing_is_forbidden_the_likeliest_tag_is_taken():
    table = np.eye(5)[[1, 2, 0, 3]] * 0.9 + 0.02
    assert best_path(table, allowed(CLASSES["BIO"], "BIO")).tolist() == [1, 2, 0, 3]


def test_words_without_an_answer_count_as_outside():
    task = tasks.of("token-classification").bound({"scheme": "BIO"})
    answers = ragged([np.eye(5, dtype=np.float32)[[1, 2]]])
    targets = ragged([np.array([1, 2, 3])])
    found = task.document(answers, targets, CLASSES["BIO"])
    assert found["metrics"]["entity_recall"]["value"] == 0.5 and found["metrics"]["accuracy"]["value"] == pytest.approx(2 / 3)
    (prediction,) = task.predictions(answers, CLASSES["BIO"], ["Ann Lee ran"])
    assert prediction["tags"] == ["B-a", "I-a", "O"]
    assert prediction["entities"] == [{"text": "Ann Lee", "type": "a", "start": 0, "end": 2, "probability": 1.0}]


def test_a_model_with_one_vector_a_text_is_refused():
    trunk = Trunk(host=nn.Sequential(nn.Linear(4, 6)), stages=(Stage("stem", ("0",)),), input=InputSpec(kind="text"), width=6)
    with pytest.raises(RequestError, match="it gives one vector for a whole text"):
        tasks.of("token-classification").head(trunk, 3, 0.0)
