"""``wise_ft``: the last phase ends on the straight way between where it began and where it was trained to."""

from __future__ import annotations

import torch
from train_hosts import full, phase, plan, text_network, texts, weights

from regraft.tasks.classification import TEXT_CLASSIFICATION
from regraft.train.fit import fit


def ended(tmp_path, share: float) -> dict[str, torch.Tensor]:
    network = text_network()
    fit(
        network,
        full(network, wise_ft=share, epochs=2),
        task=TEXT_CLASSIFICATION,
        data={"train": texts(24), "valid": None},
        folder=tmp_path / str(share),
    )
    return weights(network)


def test_the_result_lies_where_it_was_asked_for(tmp_path):
    start, end = weights(text_network()), ended(tmp_path, 1.0)
    half, none = ended(tmp_path, 0.5), ended(tmp_path, 0.0)
    assert any(not torch.equal(start[name], end[name]) for name in start)
    for name in start:
        assert torch.equal(none[name], start[name])
        assert torch.allclose(half[name], (start[name] + end[name]) / 2, atol=1e-6)


def test_a_head_that_is_solved_at_the_end_is_solved_on_the_trunk_that_lies_between(tmp_path):
    network, start = text_network(), weights(text_network())
    closing = phase("solved", [False] * 4 + [True], solver="closed_form", epochs_fraction=0.0)
    two = plan(network, [phase("all", [True] * 5), closing], wise_ft=0.0, epochs=2)
    fit(network, two, task=TEXT_CLASSIFICATION, data={"train": texts(24), "valid": None}, folder=tmp_path)
    moved = {name for name, tensor in weights(network).items() if not torch.equal(tensor, start[name])}
    assert moved == {"head.linear.weight", "head.linear.bias"}
