"""Accumulation equals the large batch; too little memory halves what goes through at once and changes nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from train_hosts import IMAGE, TEXT, Arrays, full, image_network, images, same, text_network, texts, weights

from regraft.errors import OutOfMemory
from regraft.train.ahead import ahead
from regraft.train.course import Course
from regraft.train.feed import LiveFeed, cuts, trim
from regraft.train.fit import fit


def trained(tmp_path, name, *, batch_size, accumulate, network=None, **settings):
    network = network or text_network(dropout=0.0)
    plan = full(network, epochs=2.0, batch_size=batch_size, accumulate=accumulate, **settings)
    history = fit(network, plan, TEXT, {"train": texts(50), "valid": None}, folder=tmp_path / name)
    return network, history


def close(one, other, atol=1e-6):
    one, other = weights(one), weights(other)
    return all(torch.allclose(one[name], other[name], atol=atol, rtol=1e-4) for name in one)


@pytest.mark.parametrize("parts", [(8, 2), (4, 4), (1, 16)])
def test_accumulation_equals_the_large_batch_with_its_short_last_one(tmp_path, parts):
    whole, _ = trained(tmp_path, "whole", batch_size=16, accumulate=1, optimizer="sgd", lr=0.1, clip=0.5)
    batch_size, accumulate = parts
    pieces, history = trained(tmp_path, "parts", batch_size=batch_size, accumulate=accumulate, optimizer="sgd", lr=0.1, clip=0.5)
    assert close(whole, pieces)
    assert history.phases[0].steps == 8  # 50 examples, 16 together, twice


def test_the_loss_is_the_mean_over_the_whole_batch(tmp_path):
    _, whole = trained(tmp_path, "whole", batch_size=16, accumulate=1)
    _, pieces = trained(tmp_path, "parts", batch_size=8, accumulate=2)
    assert [r.loss for r in pieces.steps] == pytest.approx([r.loss for r in whole.steps], abs=1e-5)


class Small(torch.nn.Module):
    """A device on which at most ``limit`` examples fit, for training or, where it says so, for the first ``times`` attempts only."""

    def __init__(self, host, limit, message="[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"):
        super().__init__()
        self.host, self.limit, self.message, self.seen = host, limit, message, []
        host.register_forward_pre_hook(self.look)

    def look(self, module, args):
        self.seen.append(len(args[0]))
        if len(args[0]) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory.") if self.message is None else RuntimeError(self.message)


@pytest.mark.parametrize("message", [None, "DefaultCPUAllocator: can't allocate memory"])
def test_out_of_memory_halves_the_parts_and_keeps_the_batch(tmp_path, message):
    whole, _ = trained(tmp_path, "whole", batch_size=16, accumulate=1, optimizer="sgd", lr=0.1)
    network = text_network(dropout=0.0)
    device = Small(network.host, 5, message)
    _, history = trained(tmp_path, "small", batch_size=16, accumulate=1, optimizer="sgd", lr=0.1, network=network)
    assert close(whole, network)
    assert [event.split(": ")[1] for event in history.events] == ["8 examples at once from here on", "4 examples at once from here on"]
    assert max(device.seen[device.seen.index(16) + 2 :]) <= 5


def test_after_out_of_memory_batch_norm_has_not_seen_the_batch_twice(tmp_path):
    def run(name, limit):
        network = image_network()
        network.host.body[3].p = 0.0
        calls = []

        def fail_once(module, args):
            calls.append(len(args[0]))
            if len(args[0]) == 8 and calls.count(8) == limit:
                raise torch.OutOfMemoryError("CUDA out of memory.")

        network.host.body.register_forward_pre_hook(fail_once)
        fit(network, full(network, epochs=1.0), IMAGE, {"train": images(16), "valid": None}, folder=tmp_path / name)
        return network

    untroubled, troubled = run("untroubled", -1), run("troubled", 1)
    assert int(untroubled.host.stem[1].num_batches_tracked) == 2
    assert int(troubled.host.stem[1].num_batches_tracked) == 4  # two batches in two parts each, the failed attempt not counted


def test_when_not_one_example_fits_it_says_so(tmp_path):
    network = text_network()
    Small(network.host, 0)
    with pytest.raises(OutOfMemory, match=r"not enough memory for 1 example at once .*\ntry:   a smaller --batch-size"):
        fit(network, full(network, epochs=1.0, batch_size=4), TEXT, {"train": texts(8), "valid": None}, folder=tmp_path)


def test_another_runtime_error_is_not_taken_for_a_lack_of_memory(tmp_path):
    network = text_network()
    Small(network.host, 5, "expected scalar type Float but found Long")
    with pytest.raises(RuntimeError, match="expected scalar type"):
        fit(network, full(network, epochs=1.0, batch_size=8), TEXT, {"train": texts(8), "valid": None}, folder=tmp_path)


def test_the_course_takes_each_example_once_an_epoch_and_no_two_phases_in_the_same_order():
    from train_hosts import phase
    from train_hosts import plan as make

    network, data = text_network(), texts(50)
    two = make(
        network, [phase("a", [True] * 5, epochs_fraction=0.5), phase("b", [True] * 5, epochs_fraction=0.5)], epochs=3.0, batch_size=8
    )
    first, second = Course.of(two, 0, data), Course.of(two, 1, data)
    assert (first.steps, first.steps_per_epoch, second.first_epoch) == (10, 7, 2)
    rows = np.concatenate([first.rows(step) for step in range(7)])
    assert sorted(rows) == list(range(50))
    assert [step for step in range(1, 11) if first.ends_epoch(step)] == [7, 10]
    assert not np.array_equal(np.concatenate([second.rows(step) for step in range(7)]), rows)


def test_parts_are_even_and_none_holds_a_single_left_over():
    assert [c.stop - c.start for c in cuts(33, 8)] == [7, 6, 7, 6, 7]
    assert [c.stop - c.start for c in cuts(8, 8)] == [8]


def test_parts_are_padded_no_further_than_their_longest_row():
    data = texts(20)
    rows = np.argsort(data.lengths)[[0, 1, 18, 19]]
    short, long = LiveFeed(network=text_network(), encoded=data, device=torch.device("cpu")).parts(rows, size=2, seed=0, epoch=0)
    assert short.inputs["input_ids"].shape[1] == data.lengths[rows[1]] < long.inputs["input_ids"].shape[1]
    left = {"input_ids": torch.tensor([[0, 0, 5], [0, 4, 6]]), "attention_mask": torch.tensor([[0, 0, 1], [0, 1, 1]])}
    assert trim(left)["input_ids"].tolist() == [[0, 5], [4, 6]]


def test_augmentation_is_the_same_however_small_the_parts_are():
    from regraft.data.augment import Augmentation

    data, rows = images(8), np.arange(8)
    feed = LiveFeed(
        network=image_network(), encoded=data, device=torch.device("cpu"), augmentation=Augmentation.of({"crop": 2, "mixup": 1.0}, "image")
    )
    whole, pieces = feed.parts(rows, size=8, seed=7, epoch=0), feed.parts(rows, size=3, seed=7, epoch=0)
    other = feed.parts(rows, size=8, seed=8, epoch=0)
    assert torch.equal(whole[0].inputs["image"], torch.cat([p.inputs["image"] for p in pieces]))
    assert torch.equal(whole[0].targets, torch.cat([p.targets for p in pieces])) and whole[0].targets.shape == (8, 3)
    assert not torch.equal(whole[0].inputs["image"], other[0].inputs["image"])


def test_ahead_gives_everything_in_order_and_passes_errors_on():
    assert list(ahead(lambda i: i * i, 2, 6)) == [4, 9, 16, 25]

    def fail(i):
        if i == 2:
            raise KeyError(i)
        return i

    taken = []
    with pytest.raises(KeyError):
        for value in ahead(fail, 0, 5):
            taken.append(value)
    assert taken == [0, 1]


def test_two_runs_of_one_plan_are_the_same_and_another_seed_is_not(tmp_path):
    def run(name, seed):
        network = text_network()
        fit(network, full(network, seed=seed), TEXT, {"train": texts(30), "valid": texts(9, seed=1)}, folder=tmp_path / name)
        torch.manual_seed(len(name))  # what was drawn elsewhere does not matter
        return weights(network)

    first = run("a", 0)
    assert same(first, run("bbb", 0)) and not same(first, run("c", 1))


def test_the_callers_random_numbers_are_left_alone(tmp_path):
    network = text_network()
    torch.manual_seed(11)
    before = torch.get_rng_state()
    fit(network, full(network, epochs=1.0), TEXT, {"train": texts(16), "valid": None}, folder=tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_arrays_are_what_encoded_is():
    assert isinstance(texts(3), Arrays) and len(texts(3).digests) == 3
