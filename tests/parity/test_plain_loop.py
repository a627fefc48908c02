"""Law 11: training equals thirty lines of plain PyTorch on the same batches, bit for bit on a CPU."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))
from train_hosts import IMAGE, TEXT, full, image_network, images, same, text_network, texts, weights

from regraft.testing import plain_loop
from regraft.train.fit import fit


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_the_weights_are_those_of_the_plain_loop(tmp_path, optimizer, clip):
    ours, theirs, data = text_network(dropout=0.0), text_network(dropout=0.0), texts(45)
    lr = 1e-2 if optimizer == "adamw" else 0.1
    plan = full(ours, epochs=3.0, lr=lr, optimizer=optimizer, clip=clip, weight_decay=0.05, warmup_fraction=0.2, seed=3)
    start = weights(ours)
    fit(ours, plan, TEXT, {"train": data, "valid": None}, folder=tmp_path)
    plain_loop(theirs, plan, data)
    assert same(weights(ours), weights(theirs))
    assert not same(weights(ours), start)


def test_batch_norm_and_its_statistics_are_those_of_the_plain_loop(tmp_path):
    ours, theirs, data = image_network(), image_network(), images(30)
    for network in (ours, theirs):
        network.host.body[3].p = 0.0
        network.to(memory_format=torch.channels_last)
    plan = full(ours, epochs=2.0, warmup_fraction=0.0, clip=1.0)
    fit(ours, plan, IMAGE, {"train": data, "valid": images(9, seed=1)}, folder=tmp_path)
    plain_loop(theirs, plan, data)
    assert same(weights(ours), weights(theirs))
