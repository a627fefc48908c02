"""Logits come back in the order of the split, whatever the order of the batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from regraft.errors import RequestError
from regraft.evaluate.predict import logits

TABLE = torch.arange(12.0).reshape(6, 2)


def batches(*groups: list[int]):
    return [(np.array(rows), {"input": TABLE[rows]}) for rows in groups]


def test_rows_come_back_in_input_order():
    found = logits(lambda inputs: inputs["input"] * 2, batches([5, 0], [3], [1, 4, 2]))
    assert found.dtype == np.float32
    assert np.array_equal(found, TABLE.numpy() * 2)


def test_no_gradient_is_kept_and_low_precision_comes_back_as_float32():
    layer = nn.Linear(2, 3)
    seen = []

    def forward(inputs):
        seen.append(layer(inputs["input"]).to(torch.bfloat16))
        return seen[-1]

    assert logits(forward, batches([0, 1, 2, 3, 4, 5])).dtype == np.float32
    assert not seen[0].requires_grad


@pytest.mark.parametrize("groups", [([0, 1], [1, 2]), ([0, 2],)])
def test_a_row_left_out_or_held_twice_is_refused(groups):
    with pytest.raises(RequestError, match="batches that leave a row out or hold one twice"):
        logits(lambda inputs: inputs["input"], batches(*groups))


def test_an_empty_split_is_refused():
    with pytest.raises(RequestError, match="predict over a split\nfound: it has no batch"):
        logits(lambda inputs: inputs["input"], [])
