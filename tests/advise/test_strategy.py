"""Published rules are the prior, evidence overrules, and every choice says why with its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from advise.outlines import convolutions, transformer
from regraft.advise.facts import Facts
from regraft.advise.probe import ProbeResult
from regraft.advise.strategy import choose
from regraft.evaluate.bootstrap import accuracy
from regraft.plan.strategy import parse


def text(num_examples: int, num_classes: int, **rest: float) -> Facts:
    return Facts.of(np.arange(num_examples) % num_classes, num_classes, kind="text", mean_length=16.0, **rest)


def probed(share: float, n: int = 2000) -> ProbeResult:
    correct = np.arange(n) < share * n
    empty = np.zeros(0, np.float32)
    return ProbeResult(
        weights=empty, bias=empty, mean=empty, scale=empty, c=0.1, cv_accuracy=accuracy(correct), cv_predictions=correct.astype(np.intp),
        cv_correct=correct, rows=np.arange(n), seconds=0.1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "expected"),
    [(text(1540, 77), "lp_ft"), (text(10_003, 77), "lp_ft"), (text(200_000, 2), "full"), (text(154, 77), "linear_probe")],
)
def test_without_a_probe_the_published_rules_decide(facts: Facts, expected: str):
    advice = choose(facts, transformer())
    assert advice.strategy == expected
    assert advice.reasons[0].startswith(f"{expected}: {facts}")


def test_a_probe_at_its_ceiling_leaves_nothing_to_train_for():
    advice = choose(text(1540, 77), transformer(), probe=probed(0.998))
    assert advice.strategy == "linear_probe"
    assert advice.reasons[0] == "linear_probe: the frozen features leave 0.2 points to gain; training the trunk is not worth its cost"


def test_a_probe_that_only_seems_perfect_on_few_examples_proves_nothing():
    assert choose(text(40, 2), transformer(), probe=probed(1.0, n=40)).strategy == "lp_ft"


def test_features_that_know_nothing_are_moved_as_a_whole():
    advice = choose(text(2000, 2), transformer(), probe=probed(0.46))
    assert advice.strategy == "full"
    assert "no more than always naming the largest class" in advice.reasons[0]


def test_what_the_probe_measured_is_said():
    reasons = choose(text(1540, 77), transformer(), probe=probed(0.87)).reasons
    assert any(reason.startswith("a linear probe on the frozen features is right on 0.870 [0.8") for reason in reasons)


def test_a_slow_machine_keeps_the_lower_stages_frozen():
    quick = choose(text(50_000, 5, macs_per_s=1e12), transformer())
    slow = choose(text(50_000, 5, macs_per_s=5e9), transformer())
    assert quick.strategy == "lp_ft"
    assert slow.strategy.startswith("lp_ft+freeze(below=blocks.")
    reason = next(reason for reason in slow.reasons if "stay frozen" in reason)
    assert reason.endswith("of training on this machine instead of 3.0 hours")


def test_a_strategy_given_is_kept_and_only_the_settings_are_advised():
    advice = choose(text(1540, 77), transformer(), strategy=parse("lora(rank=4)"))
    assert advice.strategy == "lora(rank=4)"
    assert advice.settings.lr == 10 * choose(text(1540, 77), transformer()).settings.lr
    assert choose(text(1540, 77), transformer(), strategy=parse("lora(stem=True)")).settings.lr == advice.settings.lr
    assert not any(reason.startswith("lp_ft") for reason in advice.reasons)


def test_more_examples_get_fewer_epochs_and_never_smaller_batches():
    chosen = [choose(text(n, 5), transformer()).settings for n in (100, 700, 2500, 7000, 25_000, 90_000)]
    assert [s.epochs for s in chosen] == sorted((s.epochs for s in chosen), reverse=True)
    assert [s.batch_size for s in chosen] == sorted(s.batch_size for s in chosen)


def test_a_head_that_is_solved_first_leaves_less_to_do():
    facts = text(1540, 77)
    strategies = ("lp_ft", "lp_ft+solve_head", "full", "full+solve_head")
    assert [choose(facts, transformer(), strategy=parse(name)).settings.epochs for name in strategies] == [5, 5, 10, 10]


def test_few_examples_end_midway_unless_surgery_spoiled_where_they_begin():
    whole, cut = (choose(text(1540, 77, altered=altered), transformer(), strategy=parse("lp_ft")).settings for altered in (False, True))
    assert (whole.wise_ft, cut.wise_ft) == (0.5, 1.0)


def test_random_weights_get_more_epochs():
    facts = text(1540, 77)
    assert choose(facts, transformer(), strategy=parse("scratch")).settings.epochs > choose(facts, transformer()).settings.epochs


def test_few_images_keep_the_batch_norm_statistics_and_many_do_not():
    def images(n: int) -> Facts:
        return Facts.of(np.arange(n) % 12, 12, kind="image")

    few, many = choose(images(60), convolutions()), choose(images(5000), convolutions())
    assert (few.settings.batch_norm, many.settings.batch_norm) == ("frozen", "train")
    assert few.settings.lr < many.settings.lr
    assert any("60 examples are too few" in reason for reason in few.reasons)
    assert choose(images(60), convolutions(), strategy=parse("scratch")).settings.batch_norm == "train", (
        "random weights have no statistics to keep"
    )
    assert dict(many.settings.augment) == {"crop": 8, "flip": True}


def test_a_valid_split_of_its_own_is_not_trained_on():
    assert choose(text(1540, 77), transformer()).settings.refit
    assert not choose(text(1540, 77, has_valid=True), transformer()).settings.refit


def test_every_reason_is_one_line_and_the_seed_is_kept():
    advice = choose(text(1540, 77), transformer(), probe=probed(0.87), seed=7)
    assert advice.settings.seed == 7
    assert all(reason and "\n" not in reason for reason in advice.reasons)
    assert any(reason.startswith("lr 0.0002: ") for reason in advice.reasons)


def test_a_head_that_is_solved_gets_no_advice_about_steps():
    advice = choose(text(1540, 77), transformer(), strategy=parse("linear_probe"))
    assert advice.settings.augment == () and advice.settings.label_smoothing == 0.0
    assert not any(reason.startswith("lr ") or "epochs" in reason.split(":")[0] for reason in advice.reasons)


def pictures(num_examples: int, num_classes: int, **rest: float) -> Facts:
    return Facts.of(np.arange(num_examples) % num_classes, num_classes, kind="image", **rest)


def test_image_features_that_know_the_task_are_tuned_for_a_third_of_the_time():
    usual, known = (choose(pictures(600, 2), convolutions(), probe=probed(share)) for share in (0.8, 0.96))
    assert (usual.settings.epochs, known.settings.epochs) == (30, 10)
    assert any("10 epochs" in reason and "a third of a starting point for 600 examples" in reason for reason in known.reasons)
    scratch = choose(pictures(600, 2), convolutions(), probe=probed(0.96), strategy=parse("scratch"))
    assert scratch.settings.epochs == 60


def test_images_are_smoothed_at_any_number_of_classes_and_text_from_ten_on():
    smoothing = [choose(facts, convolutions()).settings.label_smoothing for facts in (pictures(600, 2), text(600, 2), text(600, 10))]
    assert smoothing == [0.1, 0.0, 0.1]


def test_images_larger_than_the_input_are_shown_at_other_scales():
    small, large = (choose(pictures(600, 2, oversize=size), convolutions()) for size in (0.5, 3.5))
    few = choose(pictures(60, 2, oversize=3.5), convolutions())
    assert small.settings.augment == few.settings.augment == (("crop", 8), ("flip", True))
    assert large.settings.augment == (("resized_crop", 0.5), ("flip", True))
    assert any("the images are 3.5 times as large as the model's input" in reason for reason in large.reasons)


def test_images_are_tuned_whole_where_batch_norm_learns_and_from_a_solved_head_where_it_does_not():
    few, more = (choose(pictures(n, 2), convolutions()) for n in (200, 400))
    assert (few.strategy, few.settings.batch_norm) == ("lp_ft", "frozen")
    assert (more.strategy, more.settings.batch_norm) == ("full", "train")
    assert "a head that is solved on the old ones would not fit them" in more.reasons[0]
