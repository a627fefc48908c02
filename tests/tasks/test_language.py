"""Language models as networks: the head is the host's own, rows that are packed say what they say alone, and frozen parts are read from the cache."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from regraft import tasks
from regraft.cache.boundary import Boundary
from regraft.data import load
from regraft.data.encode import encode
from regraft.data.language import pack
from regraft.errors import PlanError, RequestError
from regraft.surgery import heads
from regraft.surgery.language_head import speaking
from regraft.testing.planning import toy_plan
from regraft.train.feed import LiveFeed
from regraft.train.run import Run
from regraft.train.step import gradients
from regraft.trunk import load as models
from regraft.trunk.measure import measure
from regraft.trunk.network import Network
from small_decoder import decoder_folder, echoes, wishes, write

TASK = tasks.of("causal-language-model")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {tied: decoder_folder(tmp_path_factory.mktemp("decoder"), tied=tied) for tied in (True, False)}


def network_of(folder) -> Network:
    trunk = models.load(f"file:{folder}", language=True)
    heads.strip(trunk)
    return Network(trunk, TASK.head(trunk, 0, 0.0)).eval()


def encoded(network, tmp_path, records):
    data = load(write(tmp_path / "talks.json", records), valid_fraction=0, test_fraction=0)
    return encode(data.splits["train"], network.trunk.input, network.trunk.tokenizer)


def costs(network, made) -> np.ndarray:
    rows = list(range(len(made)))
    with torch.no_grad():
        return TASK.answers(np.array([*TASK.collect(network(made.batch(rows)), made.target_batch(rows)), None], dtype=object)[:-1])


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_says_what_the_host_says(folders, tied):
    from transformers import LlamaForCausalLM

    network = network_of(folders[tied])
    ids = torch.arange(2, 22).reshape(2, 10)
    host = LlamaForCausalLM.from_pretrained(folders[tied]).eval()
    with torch.no_grad():
        assert torch.equal(network({"input_ids": ids, "attention_mask": torch.ones_like(ids)}), host(input_ids=ids).logits)
        with speaking(network.host, network.head) as whole:
            assert torch.equal(whole(input_ids=ids).logits, host(input_ids=ids).logits)
    assert measure(network.trunk).own_head == ("tied" if tied else "untied")
    assert len(list(network.head.parameters())) == (0 if tied else 1)


def test_an_encoder_has_no_words_of_its_own():
    from regraft.testing.hosts import trunk_of

    with pytest.raises(RequestError, match="it has no output layer for the next token"):
        TASK.head(trunk_of("bert"), 0, 0.0)


def test_packed_rows_say_what_they_say_alone(folders, tmp_path):
    network = network_of(folders[True])
    made = encoded(network, tmp_path, echoes(12))
    packed = pack(made, 160, network.trunk.tokenizer)
    assert len(packed) < len(made)
    rows = list(range(len(packed)))
    alone = {}
    with torch.no_grad():
        logits, batch = network(packed.batch(rows)), packed.batch(rows)
        for row in range(len(made)):
            ids = made.batch([row])
            alone[tuple(ids["input_ids"][0].tolist())] = network(ids)[0]
        found = 0
        for row in rows:
            for segment in range(1, int(batch["segments"][row].max()) + 1):
                places = batch["segments"][row] == segment
                expected = alone[tuple(batch["input_ids"][row][places].tolist())]
                assert torch.allclose(logits[row][places], expected, atol=1e-5)
                found += 1
    assert found == len(made)


def test_a_change_in_one_segment_is_not_seen_in_another(folders, tmp_path):
    network = network_of(folders[True])
    batch = encoded(network, tmp_path, wishes(1)).batch([0])
    other = {name: tensor.clone() for name, tensor in batch.items()}
    other["input_ids"][0, 3] += 1
    with torch.no_grad():
        before, after = network(batch)[0], network(other)[0]
    second = batch["segments"][0] == 2
    assert torch.equal(before[second], after[second])
    assert not torch.equal(before[~second], after[~second])


def test_eager_attention_keeps_segments_apart_too(folders, tmp_path):
    network = network_of(folders[True])
    batch = encoded(network, tmp_path, wishes(2)).batch([0, 1])
    with torch.no_grad():
        fast = network(batch)
        network.host.set_attn_implementation("eager")
        assert torch.allclose(network(batch), fast, atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_cached_is_live_below_every_boundary(folders, tmp_path, tied):
    network = network_of(folders[tied])
    made = encoded(network, tmp_path, echoes(12))
    for split in (made, pack(made, 160, network.trunk.tokenizer)):
        assert [Boundary(network, index).probe(split.batch([0, 1, 2])) for index in range(1, 5)] == [0.0] * 4


def test_every_learned_token_counts_the_same(folders, tmp_path):
    """The gradient of a batch is that of its parts, and of the same conversations packed: their summed cost over the number of their tokens."""
    network = network_of(folders[True])
    made = encoded(
        network, tmp_path, [*echoes(5), {"instruction": "Hi", "input": "", "output": "A much longer answer than all the others are."}]
    )
    packed = pack(made, 160, network.trunk.tokenizer)
    plan = replace(toy_plan("full", network, dropout=0.0), task=TASK.name)
    ends = []
    for split, size in ((made, 6), (made, 2), (packed, len(packed))):
        task = TASK.bound({"mean_tokens": float(split.learned.mean())})
        run = Run.of(network, plan, task)
        run.enter(2)
        network.eval()
        feed = LiveFeed(network=network, encoded=split, device=run.device)
        value = gradients(run, feed, feed.parts(np.arange(len(split)), size=size, seed=0, epoch=0), count=len(split))
        ends.append(torch.cat([value.reshape(1), *(p.grad.flatten() for p in run.parameters)]))
        run.optimizer.zero_grad()
    found = costs(network, made)
    assert float(ends[0][0]) == pytest.approx(found[:, 0].sum() / found[:, 1].sum(), rel=1e-5)
    assert torch.allclose(ends[0], ends[1], atol=1e-5)
    assert torch.allclose(ends[0], ends[2], atol=1e-5)


def test_perplexity_is_over_all_tokens():
    answers = np.array([[10.0, 5.0], [2.0, 1.0]])
    found = TASK.document(answers, np.array(["a", "b"], dtype=object), ())["metrics"]["perplexity"]
    assert found["value"] == pytest.approx(math.exp(2.0))
    assert found["n"] == 2
    better = TASK.compare(answers - [[9.0, 0.0], [1.5, 0.0]], answers, np.array(["a", "b"], dtype=object), ())
    assert (better.metric, better.wins, better.losses) == ("perplexity", 2, 0)


def test_preferences_are_counted_against_the_reference():
    task = tasks.of("preference")
    answers = np.array([[-10.0, -8.0, 4.0], [-5.0, -9.0, 4.0], [-7.0, -7.0, 4.0]])
    reference = np.array([[-12.0, -8.0], [-4.0, -9.0], [-7.0, -7.0]], np.float32)
    found = task.document(answers, reference, ())["metrics"]
    assert found["preference_accuracy"]["value"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert found["perplexity"]["value"] == pytest.approx(math.exp(22 / 12))


def test_pairs_that_are_all_right_are_not_all_that_is_known():
    found = tasks.of("preference").document(np.array([[-1.0, -8.0, 4.0]] * 6), np.zeros((6, 2), np.float32) - 5, ())["metrics"][
        "preference_accuracy"
    ]
    assert (found["value"], found["high"]) == (1.0, 1.0)
    assert 0.5 < found["low"] < 0.6


def test_a_tied_head_cannot_be_trained_alone(folders):
    from regraft.plan.check import check

    trunk = network_of(folders[True]).trunk
    outline = measure(trunk)
    network = Network(trunk, TASK.head(trunk, 0, 0.0))
    with pytest.raises(PlanError, match="the table of this head is that of the stem, which is frozen"):
        check(toy_plan("top(n=0)", network, outline=outline), outline)
    lora = toy_plan("lora", network, outline=outline)
    assert not lora.phases[0].cells[-1].trainable
    assert not [warning for warning in check(lora, outline) if "head" in warning]
