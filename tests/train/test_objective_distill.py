"""``distill`` against the definition of the paper, computed by hand."""

from __future__ import annotations

import math

import torch
from test_objective_seam import ASKED, gradient_of
from train_hosts import text_network, texts

from regraft.train.objective import Ask
from regraft.train.objectives.distill import divergence


def test_the_divergence_of_two_classes_by_hand():
    teacher, student, t = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 2.0
    p = [math.exp(1.0) / (math.exp(1.0) + 1), 1 / (math.exp(1.0) + 1)]
    q = [1 / (1 + math.exp(0.5)), math.exp(0.5) / (1 + math.exp(0.5))]
    expected = t**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    torch.testing.assert_close(divergence(teacher, student, t), torch.tensor([expected]))
    assert divergence(student, student, t).item() == 0.0


def test_at_a_high_temperature_the_gradient_is_that_of_matching_centred_logits():
    """Equation 4 of the paper: (z - v) / (N T^2) for zero-mean logits, here times T^2."""
    torch.manual_seed(0)
    student, teacher = (logits - logits.mean(1, keepdim=True) for logits in (torch.randn(3, 5), torch.randn(3, 5)))
    student.requires_grad_(True)
    divergence(teacher, student, 1000.0).sum().backward()
    torch.testing.assert_close(student.grad, (student.detach() - teacher) / 5, rtol=1e-2, atol=1e-3)


def minimised(text, columns, temperature, weight):
    """The value of the first eleven examples by hand, the network being moved as ``gradient_of`` moves it."""
    network, split = text_network(dropout=0.0), texts(24)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.01
    logits = network.eval()(split.batch(range(11)))
    known = torch.from_numpy(ASKED[Ask("logits", text)].logits[:11])
    cross = torch.nn.functional.cross_entropy(logits, torch.from_numpy(split.targets[:11]))
    p, q = (known / temperature).softmax(1), (logits[:, columns] / temperature).softmax(1)
    return (1 - weight) * cross + weight * temperature**2 * (p * (p / q).log()).sum(1).mean()


def test_the_objective_is_the_weighted_sum_of_both():
    value, _ = gradient_of("distill(teacher=old, temperature=3, weight=0.6)", 4, lambda: text_network(dropout=0.0))
    torch.testing.assert_close(value, minimised("old", [0, 1, 2], 3.0, 0.6).detach())


def test_a_teacher_of_some_classes_teaches_these_alone():
    value, _ = gradient_of("distill(teacher=some, temperature=2, weight=0.5)", 4, lambda: text_network(dropout=0.0))
    torch.testing.assert_close(value, minimised("some", [0, 2], 2.0, 0.5).detach())
