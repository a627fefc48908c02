"""``r_drop``: the definition by hand, and that dropout is what it works on."""

from __future__ import annotations

import torch
from test_objective_seam import gradient_of
from train_hosts import text_network

from regraft.train.objectives.r_drop import disagreement


def test_the_disagreement_is_the_mean_of_both_divergences():
    one, other = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[0.0, 2.0, 0.0]])
    p, q = one.softmax(1), other.softmax(1)
    expected = ((p * (p / q).log()).sum(1) + (q * (q / p).log()).sum(1)) / 2
    torch.testing.assert_close(disagreement(one, other), expected)
    assert disagreement(one, one).item() == 0.0


def test_without_dropout_it_is_the_plain_loss():
    still = lambda: text_network(dropout=0.0)  # noqa: E731
    (value, found), (plain, expected) = (gradient_of(text, 11, still) for text in ("r_drop(strength=5)", ""))
    torch.testing.assert_close(value, plain)
    torch.testing.assert_close(found, expected)


def test_with_dropout_it_is_the_mean_of_two_losses_and_their_disagreement():
    noisy = lambda: text_network(dropout=0.5)  # noqa: E731
    weak, strong, stronger = (gradient_of(f"r_drop(strength={s})", 11, noisy)[0] for s in (0, 1, 2))
    plain, _ = gradient_of("", 11, noisy)
    torch.testing.assert_close(stronger - strong, strong - weak, rtol=1e-3, atol=1e-5)
    assert strong > weak and not torch.isclose(weak, plain)
