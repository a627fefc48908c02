"""``ewc``: the Fisher information by hand where it is known, and what it holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from train_hosts import TEXT, full, text_network, texts, weights

from regraft.plan.objective import parse
from regraft.train.fit import fit
from regraft.train.objective import Ask, Start, check
from regraft.train.objectives.ewc import fisher_of


def start_of(network, split, text="ewc"):
    plan = replace(full(network), objectives=parse(text))
    return Start(network=network, plan=plan, task=TEXT, train=split, device=torch.device("cpu"), asked={})


def test_the_fisher_information_of_the_heads_bias_is_known():
    """d log p_y / d b_k = [y = k] - p_k; its mean square over y drawn from p is p_k (1 - p_k)."""
    network, split = text_network(dropout=0.0).eval(), texts(4)
    with torch.no_grad():
        network.head.linear.weight.mul_(20)
    rows = np.zeros(500, dtype=np.int64)
    bias = network.head.linear.bias
    found = fisher_of(start_of(network, split), split, rows, [bias], draws=torch.Generator().manual_seed(0))[bias]
    p = network(split.batch([0])).detach().softmax(1)[0]
    torch.testing.assert_close(found, p * (1 - p), rtol=0.2, atol=0.02)


def test_with_the_datas_labels_it_is_the_mean_squared_gradient():
    network, split = text_network(dropout=0.0).eval(), texts(6)
    bias = network.head.linear.bias
    found = fisher_of(start_of(network, split), split, np.arange(6), [bias], draws=None)[bias]
    p = network(split.batch(range(6))).detach().softmax(1)
    gradients = torch.nn.functional.one_hot(torch.from_numpy(split.targets), 3) - p
    torch.testing.assert_close(found, gradients.square().mean(0))


def moved(folder, text):
    network = text_network()
    start = weights(network)
    chosen = replace(full(network, epochs=3.0, weight_decay=0.0), objectives=parse(text))
    old = texts(20, seed=7)
    asked = {Ask("examples", "old"): old}
    fit(network, chosen, TEXT, {"train": texts(24), "valid": None, "asked": asked}, folder=folder)
    return {name: (tensor - start[name]).square() for name, tensor in weights(network).items()}


def test_it_holds_what_the_examples_need_and_frees_the_head(tmp_path):
    free = moved(tmp_path / "free", "ewc(examples=old, strength=0, count=20)")
    held = moved(tmp_path / "held", "ewc(examples=old, strength=1e6, count=20)")
    inside = [name for name in free if name.startswith("host")]
    assert sum(held[name].sum() for name in inside) < 0.5 * sum(free[name].sum() for name in inside)
    assert all(held[name].sum() > 0 for name in free if name.startswith("head"))
    never = "host.embedding.weight"  # tokens that no old example holds have no Fisher information: they are free
    used = torch.from_numpy(np.unique(texts(20, seed=7).array))
    unused = torch.ones(61, dtype=torch.bool)
    unused[used] = False
    if unused.any():
        torch.testing.assert_close(held[never][unused] > 0, free[never][unused] > 0)


def test_the_network_is_left_as_it_was_found(tmp_path):
    network, split = text_network(), texts(8)
    network.train()
    network.requires_grad_(False)
    start = start_of(network, split, "ewc(count=4)")
    asked = {Ask("examples", "train"): split}
    begun = Start(network=network, plan=start.plan, task=TEXT, train=split, device=start.device, asked=asked)
    check(start.plan.objectives)[0].begin(begun)
    assert all(module.training for module in network.modules())
    assert not any(p.requires_grad or p.grad is not None for p in network.parameters())
