"""Objectives of several tasks against the definitions in their papers, worked out again in numpy or by the plain gradient of each task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from regraft import tasks
from regraft.data.encode import prepare
from regraft.errors import PlanError
from regraft.plan.objective import parse
from regraft.testing.examples import images, images_of_two_tasks
from regraft.testing.objective_laws import Ground
from regraft.testing.planning import toy_plan
from regraft.testing.toy import toy_network
from regraft.train import step
from regraft.train.feed import LiveFeed
from regraft.train.history import EpochRecord
from regraft.train.objective import check
from regraft.train.objectives.famo import coefficients, pull
from regraft.train.objectives.gradnorm import descent
from regraft.train.objectives.pcgrad import projected
from regraft.train.run import Run
from regraft.train.terms import Terms

N = 12


class Trial:
    """The toy with two tasks under ``text``, ready for a step; in eval mode, so that parts do not differ."""

    def __init__(self, text: str, *, strategy: str = "full", size: int = N, **settings):
        objectives = parse(text)
        ground = Ground.of(parse("uncertainty"))
        self.train = images_of_two_tasks(48)
        self.run = Run.of(ground.make(dropout=0.0), ground.plan(strategy, objectives=objectives, **settings), ground.task)
        self.run.terms = Terms.begin(self.run, self.train, {})
        self.run.enter(6)
        self.run.network.eval()
        self.feed = LiveFeed(network=self.run.network, encoded=self.train, device=self.run.device)
        self.size = size

    def gradients(self) -> None:
        parts = self.feed.parts(np.arange(N), size=self.size, seed=0, epoch=0)
        step.gradients(self.run, self.feed, parts, count=N)

    def update(self, lr: float = 1e-2) -> None:
        step.update(self.run, lr)
        self.run.step += 1

    def losses(self) -> torch.Tensor:
        """(T,) of the batch under the present weights, on the graph: what each task adds to the batch's mean."""
        rows = np.arange(N)
        logits = self.run.network(prepare(self.train.batch(rows), self.run.network.trunk.input))
        return self.run.task.each(logits, self.train.target_batch(rows)).sum(0) / N

    def own_gradients(self, parameters: list[torch.nn.Parameter]) -> np.ndarray:
        """(T, P) of each task by itself."""
        found = []
        for loss in self.losses():
            parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            found.append(
                np.concatenate(
                    [(torch.zeros_like(p) if g is None else g).flatten().numpy() for g, p in zip(parts, parameters, strict=True)]
                )
            )
        return np.stack(found).astype(np.float64)

    def left(self, parameters: list[torch.nn.Parameter]) -> np.ndarray:
        """(P,) the gradient that stands in the parameters."""
        return np.concatenate([p.grad.flatten().numpy() for p in parameters]).astype(np.float64)


def adam(gradients: list[np.ndarray], start: np.ndarray, *, lr: float, decay: float = 0.0) -> np.ndarray:
    value, first, second = start.astype(np.float64), 0.0, 0.0
    for count, gradient in enumerate(gradients, start=1):
        gradient = gradient + decay * value
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        value = value - lr * (first / (1 - 0.9**count)) / (np.sqrt(second / (1 - 0.999**count)) + 1e-8)
    return value


def moved_by_adam(earlier: np.ndarray, gradient: np.ndarray, value: np.ndarray, *, lr: float = 0.05) -> np.ndarray:
    """``value`` after a second step, the first one having been down ``earlier``."""
    first, second = 0.09 * earlier + 0.1 * gradient, 0.000999 * earlier**2 + 0.001 * gradient**2
    return value - lr * (first / (1 - 0.9**2)) / (np.sqrt(second / (1 - 0.999**2)) + 1e-8)


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum()


@pytest.mark.parametrize("size", [N, 5])
@pytest.mark.parametrize(
    ("text", "weights"), [("", (1, 1)), ("task_weights(channel=2, brightness=0.5)", (2, 0.5)), ("task_weights(brightness=0)", (1, 0))]
)
def test_weights_that_are_given_weigh_the_gradients(text, weights, size):
    trial = Trial(text, size=size)
    trial.gradients()
    expected = np.array(weights) @ trial.own_gradients(trial.run.parameters)
    np.testing.assert_allclose(trial.left(trial.run.parameters), expected, rtol=1e-3, atol=1e-6)


def test_an_example_without_a_target_teaches_the_other_task_alone():
    trial = Trial("")
    rows = np.array([4, 9])
    assert np.isnan(trial.train.targets[4, 0]) and np.isnan(trial.train.targets[9, 1])
    logits = torch.randn(2, 4, requires_grad=True)
    each = trial.run.task.each(logits, trial.train.target_batch(rows))
    assert each[0, 0] == 0 and each[1, 1] == 0 and each[0, 1] > 0 and each[1, 0] > 0
    each.sum().backward()
    assert not logits.grad[0, :3].any() and not logits.grad[1, 3] and logits.grad[0, 3] and logits.grad[1, :3].all()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("linear(1, 0.2)", lambda t: 1 - 0.8 * t), ("cosine(0, 2)", lambda t: 1 - np.cos(np.pi * t)), ("0 if t < 0.5 else 1", lambda t: float(t >= 0.5)),
     ("exp(-2 * t) ** 2", lambda t: np.exp(-4 * t))],
)  # fmt: skip
def test_a_schedule_goes_from_the_first_step_of_the_run_to_the_last(typed, expected):
    trial = Trial(f"task_weights(brightness={typed})", strategy="full", epochs=2.0)  # 2 epochs of 3 batches
    for place in range(6):
        trial.run.step = place
        weights = trial.run.terms.weights(trial.run).numpy()
        np.testing.assert_allclose(weights, [1, expected(place / 5)], rtol=1e-6, atol=1e-7)


def test_a_schedule_goes_on_from_phase_to_phase():
    trial = Trial("task_weights(channel=t)", strategy="gradual_unfreezing(every=2)", epochs=3.0)
    phases = trial.run.plan.phases
    assert len(phases) > 1
    trial.run.phase, trial.run.step = len(phases) - 1, 0
    first = float(trial.run.terms.weights(trial.run)[0])
    assert 0.2 < first < 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task_weights(channel=0 - t)", r"-0.01 at t = 0.01\ntry:   a weight is finite and not negative"),
        ("task_weights(channel=1 / t)", "at t = 0: "),
        ("task_weights(channel=__import__('os'))", "only arithmetic in t is understood"),
        ("task_weights(channel=t.real)", "only arithmetic in t is understood"),
        ("task_weights(channel=lineer(0, 1))", "no such function\ntry:   did you mean 'linear'"),
        ("task_weights(channel=[1, 2])", "only arithmetic in t is understood"),
        ("task_weights(channel=9 ** 9 ** 9)", "at t = 0"),
        ("task_weights", "no task is named"),
        ("dwa(temperature=0)", "a temperature is above 0"),
        ("gradnorm(alpha=-1)", "alpha is not negative"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, message):
    with pytest.raises(PlanError, match=message):
        check(parse(text))


def test_a_task_that_is_not_there_is_named():
    with pytest.raises(PlanError, match="no such task; there are channel, brightness\ntry:   did you mean 'brightness'"):
        Trial("task_weights(brightnes=1)")


@pytest.mark.parametrize("text", ["task_weights(channel=1)", "uncertainty", "dwa", "gradnorm", "famo", "pcgrad"])
def test_one_task_has_nothing_to_be_weighed_against(text):
    plan = replace(toy_plan("full", toy_network()), objectives=parse(text))
    run = Run.of(toy_network(), plan, tasks.of("image-classification"))
    with pytest.raises(PlanError, match="one task, and nothing to weigh it against\ntry:   several targets: --target first,second"):
        Terms.begin(run, images(8), {})


def test_uncertainty_learns_the_noise_of_each_task():
    """Kendall et al., eq. 7: L_1 / sigma_1^2 + L_2 / (2 sigma_2^2) + log sigma_1 + log sigma_2, each over the examples that have the target."""
    trial = Trial("uncertainty(lr=0.05)")
    present = (~np.isnan(trial.train.targets[:N])).mean(0)
    logs, found = np.zeros(2), []
    for _ in range(3):
        losses = trial.losses().detach().numpy().astype(np.float64)
        trial.gradients()
        factor = np.array([1.0, 0.5]) * np.exp(-logs)
        np.testing.assert_allclose(
            trial.left(trial.run.parameters), factor @ trial.own_gradients(trial.run.parameters), rtol=1e-3, atol=1e-6
        )
        found.append(-factor * losses + present / 2)  # the derivative by s = log sigma^2
        trial.update()
        logs = adam(found, np.zeros(2), lr=0.05)
    np.testing.assert_allclose(trial.run.terms.weights(trial.run).numpy(), np.array([1.0, 0.5]) * np.exp(-logs), rtol=1e-4)


def test_the_loss_under_uncertainty_holds_the_logarithms_too():
    trial = Trial("uncertainty(lr=0.5)")
    trial.gradients()
    trial.update()
    logs = -np.log(trial.run.terms.weights(trial.run).double().numpy() / [1.0, 0.5])
    losses = trial.losses().detach().numpy()
    value = step.gradients(trial.run, trial.feed, trial.feed.parts(np.arange(N), size=5, seed=0, epoch=0), count=N)
    present = (~np.isnan(trial.train.targets[:N])).mean(0)
    assert float(value) == pytest.approx(float((np.array([1.0, 0.5]) * np.exp(-logs)) @ losses + present @ logs / 2), rel=1e-4)


def test_dynamic_weight_average_looks_at_the_two_epochs_before():
    trial = Trial("dwa(temperature=2)", lr=1e-2)
    epochs = []
    for epoch in range(1, 4):
        weights = trial.run.terms.weights(trial.run).numpy()
        expected = np.ones(2) if len(epochs) < 2 else 2 * softmax(epochs[-1] / epochs[-2] / 2)
        np.testing.assert_allclose(weights, expected, rtol=1e-5)
        sums, counts = np.zeros(2), np.zeros(2)
        for _ in range(2):
            sums += trial.losses().detach().numpy() * N
            counts += (~np.isnan(trial.train.targets[:N])).sum(0)
            trial.gradients()
            trial.update(3e-2)
        epochs.append(sums / counts)
        trial.run.terms.after_epoch(trial.run, EpochRecord(phase=0, epoch=epoch, step=2 * epoch, loss=0.0, valid={}, seconds=0.0))
    assert [row["epoch"] for row in trial.run.history.tasks] == [1, 2, 3]
    row = trial.run.history.tasks[1]["tasks"]["channel"]
    assert row["weight"] == 1.0 and row["loss"] == pytest.approx(epochs[1][0], rel=1e-4)


def test_the_descent_of_gradnorm_is_the_derivative_of_its_loss():
    """Chen et al., eq. 2: sum of | w_i n_i - target_i | with the targets held fixed, by finite differences."""
    weights, norms, ratios, alpha = np.array([1.3, 0.4, 1.3]), np.array([0.5, 2.0, 1.1]), np.array([0.9, 0.5, 0.7]), 1.5
    target = (weights * norms).mean() * (ratios / ratios.mean()) ** alpha
    loss = lambda w: np.abs(w * norms - target).sum()  # noqa: E731
    expected = [(loss(weights + 1e-6 * unit) - loss(weights - 1e-6 * unit)) / 2e-6 for unit in np.eye(3)]
    found = descent(*map(torch.from_numpy, (weights, norms, ratios)), alpha)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("size", [N, 5])
def test_gradnorm_takes_the_true_norms_at_the_last_shared_stage(size):
    trial = Trial("gradnorm(alpha=1.5, lr=0.05)", size=size)
    neck = [p for _, p in trial.run.network.stage_parameters(len(trial.run.network.trunk.stages) - 1)]
    weights, found, first = np.ones(2), [], None
    share = (~np.isnan(trial.train.targets[:N])).mean(0)
    np.testing.assert_allclose(trial.run.terms.weights(trial.run), weights)
    trial.gradients()
    norms = np.linalg.norm(trial.own_gradients(neck), axis=1)
    first = trial.losses().detach().numpy() / share
    trial.update()
    target = (weights * norms).mean() * np.ones(2)  # the first batch is where ratios are 1
    found.append(np.sign(weights * norms - target) * norms)
    weights = adam(found, np.ones(2), lr=0.05)
    weights = 2 * weights / weights.sum()
    np.testing.assert_allclose(trial.run.terms.weights(trial.run), weights, rtol=1e-5)
    trial.gradients()
    norms, ratios = np.linalg.norm(trial.own_gradients(neck), axis=1), trial.losses().detach().numpy() / share / first
    target = (weights * norms).mean() * (ratios / ratios.mean()) ** 1.5
    gradient = np.sign(weights * norms - target) * norms
    trial.update()
    moved = trial.run.terms.weights(trial.run).numpy()
    expected = moved_by_adam(found[0], gradient, weights)
    np.testing.assert_allclose(moved, 2 * expected / expected.sum(), rtol=1e-4)


def test_gradnorm_keeps_still_where_nothing_shared_trains():
    trial = Trial("gradnorm", strategy="top(n=0)")
    trial.gradients()
    trial.update()
    assert trial.run.terms.weights(trial.run).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("size", [N, 5])
def test_famo_goes_down_the_logarithms_and_looks_again_after_the_step(size):
    """Liu et al., algorithm 1."""
    trial = Trial("famo(lr=0.1, decay=0.01)", size=size)
    logits, found = np.zeros(2), []
    for _ in range(3):
        before = trial.losses().detach().numpy().astype(np.float64)
        trial.gradients()
        z = softmax(logits)
        weights = z / before / (z / before).sum()
        np.testing.assert_allclose(
            trial.left(trial.run.parameters), weights @ trial.own_gradients(trial.run.parameters), rtol=1e-3, atol=1e-6
        )
        trial.update()
        fallen = np.log(before) - np.log(trial.losses().detach().numpy().astype(np.float64))
        found.append((np.diag(z) - np.outer(z, z)) @ fallen)
        logits = adam(found, np.zeros(2), lr=0.1, decay=0.01)
    trial.gradients()
    z, before = softmax(logits), trial.losses().detach().numpy()
    np.testing.assert_allclose(
        trial.left(trial.run.parameters),
        (z / before / (z / before).sum()) @ trial.own_gradients(trial.run.parameters),
        rtol=2e-3,
        atol=1e-5,
    )


def test_famo_leaves_out_a_task_that_the_batch_says_nothing_of():
    xi, losses = torch.zeros(3, dtype=torch.float64), torch.tensor([2.0, 0.0, 1.0], dtype=torch.float64)
    np.testing.assert_allclose(coefficients(xi, losses), [1 / 3, 0, 2 / 3], rtol=1e-6)
    fallen = pull(xi, losses, torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64))
    np.testing.assert_allclose(fallen, (np.diag([1 / 3] * 3) - np.full((3, 3), 1 / 9)) @ [np.log(2), 0, 0], rtol=1e-6)


def test_gradients_that_conflict_are_projected_on_each_others_normal_planes():
    """Yu et al., algorithm 1, by hand: (1, 0) and (-1, 1) lose what goes against the other."""
    found = projected(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), np.random.default_rng(0))
    np.testing.assert_allclose(found.numpy(), [0.5, 1.5])  # (1/2, 1/2) + (0, 1)
    agreeing = torch.tensor([[1.0, 0.5], [0.5, 1.0], [0.0, 2.0]])
    np.testing.assert_allclose(projected(agreeing, np.random.default_rng(0)).numpy(), agreeing.sum(0).numpy())


def test_three_tasks_are_projected_one_after_the_other_in_a_drawn_order():
    rows = np.random.default_rng(3).normal(size=(3, 5))
    order, expected = np.random.default_rng(7), np.zeros(5)
    for i in range(3):
        own = rows[i].copy()
        for j in order.permutation([k for k in range(3) if k != i]):
            if own @ rows[j] < 0:
                own -= own @ rows[j] / (rows[j] @ rows[j]) * rows[j]
        expected += own
    np.testing.assert_allclose(projected(torch.from_numpy(rows), np.random.default_rng(7)).numpy(), expected)


@pytest.mark.parametrize("size", [N, 5])
def test_surgery_is_on_what_is_shared_and_leaves_the_heads_alone(size):
    trial = Trial("task_weights(channel=-1 + 2)+pcgrad", size=size)
    head = list(trial.run.network.head.parameters())
    shared = [one.parameter for one in trial.run.chosen if one.parameter not in set(head)]
    with torch.no_grad():  # two heads that want the opposite
        trial.run.network.head.linear.weight[3] = -5 * trial.run.network.head.linear.weight[0]
    own = trial.own_gradients(shared)
    assert own[0] @ own[1] < 0
    trial.gradients()
    expected = projected(torch.from_numpy(own), np.random.default_rng(0)).numpy()  # of two the order does not matter
    np.testing.assert_allclose(trial.left(shared), expected, rtol=2e-3, atol=1e-5)
    np.testing.assert_allclose(trial.left(head), trial.own_gradients(head).sum(0), rtol=1e-3, atol=1e-6)


def test_a_second_look_leaves_batch_norm_as_it_was():
    trial = Trial("famo", size=5)
    trial.run.network.train()
    trial.gradients()
    before = [buffer.clone() for buffer in trial.run.buffers]
    trial.update()
    assert all(torch.equal(now, then) for now, then in zip(trial.run.buffers, before, strict=True))
