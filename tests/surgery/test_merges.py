"""Averages, soups and task vectors against their definitions, on numbers that can be checked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from regraft.errors import RequestError
from regraft.surgery.average import average, greedy_soup, interpolate
from regraft.surgery.class_rows import merge_heads, union
from regraft.surgery.task_vectors import dare, task_arithmetic, task_vector, ties, ties_vector


def state(*values: float, **more: Tensor) -> dict[str, Tensor]:
    return {"w": torch.tensor([float(value) for value in values]), **more}


def test_an_average_is_weighted_and_leaves_equal_tensors_as_they_are():
    odd = torch.tensor([0.1, 1e-30, 3.0])
    found = average([state(1, 2, frozen=odd), state(3, 6, frozen=odd.clone())], [0.25, 0.75])
    assert found["w"].tolist() == [2.5, 5.0]
    assert torch.equal(average([state(1, frozen=odd)] * 3)["frozen"], odd)


def test_what_is_no_floating_point_number_comes_from_the_first():
    assert average([state(1, n=torch.tensor(7)), state(2, n=torch.tensor(9))])["n"] == 7


def test_halves_are_averaged_in_full_precision():
    halves = [{"w": torch.tensor([1.0], dtype=torch.float16)}, {"w": torch.tensor([1.001], dtype=torch.float16)}]
    assert average(halves)["w"].dtype == torch.float16
    assert average(halves)["w"].item() == pytest.approx(sum(one["w"].item() for one in halves) / 2, abs=6e-4)


def test_wise_ft_lies_on_the_line():
    assert interpolate(state(0, 10), state(10, 0), 0.3)["w"].tolist() == pytest.approx([3.0, 7.0])
    assert torch.equal(interpolate(state(1, 2), state(5, 6), 0.0)["w"], state(1, 2)["w"])


def test_states_that_differ_in_shape_are_refused():
    with pytest.raises(RequestError, match="they differ in 1 tensors: w"):
        average([state(1, 2), state(1)])


def soup_of(scores: dict[tuple[int, ...], float], count: int):
    """The soup where averages of these members score so; members are told by the state that ``mix`` gives."""
    return greedy_soup(count, lambda members: {"m": torch.tensor(members)}, lambda found: scores[tuple(found["m"].tolist())])


def test_a_greedy_soup_goes_from_the_best_down_and_keeps_what_does_not_hurt():
    scores = {(0,): 0.5, (1,): 0.9, (2,): 0.7, (3,): 0.8, (1, 3): 0.9, (1, 3, 2): 0.85, (1, 3, 0): 0.95}
    soup = soup_of(scores, 4)
    assert soup.members == (1, 3, 0)
    assert [attempt.members for attempt in soup.tried] == [(0,), (1,), (2,), (3,), (1, 3), (1, 3, 2), (1, 3, 0)]
    assert soup.tried[-1].score == 0.95


def test_a_greedy_soup_of_models_that_do_not_mix_is_the_best_one_alone():
    assert soup_of({(0,): 0.5, (1,): 0.9, (1, 0): 0.6}, 2).members == (1,)


def test_task_arithmetic_adds_what_moved():
    start = state(1, 1, 1)
    found = task_arithmetic(start, [state(2, 1, 1), state(1, 1, 4)], scale=0.5)
    assert found["w"].tolist() == [1.5, 1.0, 2.5]


def test_ties_by_hand():
    # tau_1 = (4, -3, 0.1, 0), tau_2 = (-1, -2, 0.2, 5); half of each is kept: (4, -3, 0, 0), (0, -2, 0, 5)
    # elected signs: +, -, 0, +; means of those that agree: 4, -2.5, 0, 5
    start = state(1, 1, 1, 1)
    models = [state(5, -2, 1.1, 1), state(0, -1, 1.2, 6)]
    assert ties(start, models, density=0.5, scale=1.0)["w"].tolist() == pytest.approx([5, -1.5, 1, 6])
    assert ties(start, models, density=0.5, scale=2.0)["w"].tolist() == pytest.approx([9, -4, 1, 11])


def test_ties_elects_the_sign_with_more_magnitude_and_leaves_the_others_out_of_the_mean():
    vectors = [{"w": torch.tensor([3.0])}, {"w": torch.tensor([1.0])}, {"w": torch.tensor([-3.5])}]
    assert ties_vector(vectors, 1.0)["w"].item() == pytest.approx(2.0)
    vectors[2]["w"] = torch.tensor([-6.0])
    assert ties_vector(vectors, 1.0)["w"].item() == pytest.approx(-6.0)


def test_ties_trims_over_all_tensors_of_a_model_together():
    start = {"a": torch.zeros(2), "b": torch.zeros(2)}
    model = {"a": torch.tensor([10.0, 9.0]), "b": torch.tensor([1.0, 2.0])}
    found = ties(start, [model, model], density=0.5)
    assert found["a"].tolist() == [10.0, 9.0] and found["b"].tolist() == [0.0, 0.0]


def test_dare_drops_its_share_and_keeps_the_mean():
    start, model = {"w": torch.zeros(100_000)}, {"w": torch.ones(100_000)}
    found = dare(start, [model], drop=0.9, scale=1.0, seed=1)["w"]
    assert found.unique().tolist() == pytest.approx([0.0, 10.0])
    assert (found == 0).float().mean().item() == pytest.approx(0.9, abs=0.01)
    assert found.mean().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(found, dare(start, [model], drop=0.9, scale=1.0, seed=1)["w"])
    assert not torch.equal(found, dare(start, [model], drop=0.9, scale=1.0, seed=2)["w"])


def test_dare_without_dropping_is_task_arithmetic():
    start, models = state(1, 1), [state(2, 0), state(1, 3)]
    assert torch.equal(dare(start, models, drop=0.0, scale=0.5)["w"], task_arithmetic(start, models, scale=0.5)["w"])


def test_what_did_not_move_comes_out_byte_for_byte():
    frozen = torch.tensor([0.1, 0.2])
    start = state(1, frozen=frozen, count=torch.tensor(3))
    models = [state(2, frozen=frozen.clone(), count=torch.tensor(5)), state(0.5, frozen=frozen.clone(), count=torch.tensor(6))]
    assert set(task_vector(start, models[0])) == {"w"}
    for found in (ties(start, models), dare(start, models), task_arithmetic(start, models, scale=0.3)):
        assert torch.equal(found["frozen"], frozen) and found["count"] == 3


@pytest.mark.parametrize(
    ("key", "value", "told"), [("density", 0.0, "above 0, at most 1"), ("density", 1.5, "above 0"), ("drop", 1.0, "from 0 to below 1")]
)
def test_shares_that_are_none_are_refused(key, value, told):
    with pytest.raises(RequestError, match=f"{key}={value}\nfound: {key} is {told}"):
        (ties if key == "density" else dare)(state(1), [state(2)], **{key: value})


def head(*rows: float) -> dict[str, Tensor]:
    return {"weight": torch.tensor(rows).float()[:, None], "bias": -torch.tensor(rows).float()}


def test_heads_are_merged_by_class_name():
    order = union([("a", "b"), ("b", "c", "a")])
    assert order == ("a", "b", "c")
    found = merge_heads([head(1, 2), head(20, 30, 10)], [("a", "b"), ("b", "c", "a")], order)
    assert found["weight"].flatten().tolist() == pytest.approx([5.5, 11.0, 30.0])
    assert found["bias"].tolist() == pytest.approx([-5.5, -11.0, -30.0])


def test_weights_are_shared_out_among_those_that_know_a_class():
    found = merge_heads([head(1, 2), head(20, 30)], [("a", "b"), ("b", "c")], ("a", "b", "c"), [0.0, 1.0])
    assert found["weight"].flatten().tolist() == pytest.approx([1.0, 20.0, 30.0])


def test_heads_without_rows_for_classes_are_refused_unless_they_are_equal():
    scale = torch.tensor([2.0, 3.0, 4.0])
    one, two = {**head(1, 2), "scale": scale}, {**head(1, 2), "scale": scale.clone()}
    assert torch.equal(merge_heads([one, two], [("a", "b"), ("b", "c")], ("a", "b", "c"))["scale"], scale)
    two["scale"] = scale + 1
    with pytest.raises(RequestError, match="scale holds no row for each class"):
        merge_heads([one, two], [("a", "b"), ("b", "c")], ("a", "b", "c"))
    with pytest.raises(RequestError, match="none of them knows z"):
        merge_heads([head(1, 2)], [("a", "b")], ("a", "z"))
