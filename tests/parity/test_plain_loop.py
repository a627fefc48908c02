"""Law 11: training equals thirty lines of plain PyTorch on the same batches, bit for bit on a CPU."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))
from train_hosts import IMAGE, TEXT, full, image_network, images, same, text_network, texts, weights

from regraft.data.batching import training_batches
from regraft.data.encode import prepare
from regraft.train import fit


def plain(network, data, *, epochs, lr, batch_size, optimizer, clip, decay, warmup_fraction, seed):
    """What anybody would write, with the usual exclusions from weight decay and a linear schedule."""
    network.train()
    flat = {id(p) for m in network.modules() if "Norm" in type(m).__name__ for p in m.parameters(recurse=False)}
    decays = [p for name, p in network.named_parameters() if p.ndim > 1 and not name.endswith("bias") and id(p) not in flat]
    rest = [p for p in network.parameters() if id(p) not in {id(d) for d in decays}]
    groups = [{"params": decays, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
    made = (
        torch.optim.AdamW(groups, lr=lr, fused=True) if optimizer == "adamw" else torch.optim.SGD(groups, lr=lr, momentum=0.9, fused=True)
    )
    batches = [
        rows for epoch in range(epochs) for rows in training_batches(len(data), batch_size, seed=seed, epoch=epoch, lengths=data.lengths)
    ]
    warmup = round(warmup_fraction * len(batches))
    for step, rows in enumerate(batches):
        rate = (step + 1) / (warmup + 1) if step < warmup else 1.0 - (step - warmup) / (len(batches) - warmup)
        for group in made.param_groups:
            group["lr"] = lr * rate
        inputs = prepare(data.batch(rows), network.trunk.input)
        loss = nn.functional.cross_entropy(network(inputs), torch.from_numpy(data.targets[rows]))
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(network.parameters(), clip)
        made.step()
        made.zero_grad()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_the_weights_are_those_of_the_plain_loop(tmp_path, optimizer, clip):
    ours, theirs, data = text_network(dropout=0.0), text_network(dropout=0.0), texts(45)
    lr = 1e-2 if optimizer == "adamw" else 0.1
    plan = full(ours, epochs=3.0, lr=lr, optimizer=optimizer, clip=clip, weight_decay=0.05, warmup_fraction=0.2, seed=3)
    start = weights(ours)
    fit(ours, plan, TEXT, {"train": data, "valid": None}, folder=tmp_path)
    plain(theirs, data, epochs=3, lr=lr, batch_size=8, optimizer=optimizer, clip=clip, decay=0.05, warmup_fraction=0.2, seed=3)
    assert same(weights(ours), weights(theirs))
    assert not same(weights(ours), start)


def test_batch_norm_and_its_statistics_are_those_of_the_plain_loop(tmp_path):
    ours, theirs, data = image_network(), image_network(), images(30)
    for network in (ours, theirs):
        network.host.body[3].p = 0.0
        network.to(memory_format=torch.channels_last)
    plan = full(ours, epochs=2.0, warmup_fraction=0.0, clip=1.0)
    fit(ours, plan, IMAGE, {"train": data, "valid": images(9, seed=1)}, folder=tmp_path)
    plain(theirs, data, epochs=2, lr=1e-2, batch_size=8, optimizer="adamw", clip=1.0, decay=0.01, warmup_fraction=0.0, seed=0)
    assert same(weights(ours), weights(theirs))
