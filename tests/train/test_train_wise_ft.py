"""``wise_ft``: the last phase ends on the straight way between where it began and where it was trained to."""

from __future__ import annotations

import torch
from train_hosts import full, text_network, texts, weights

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
