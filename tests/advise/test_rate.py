"""Where the learning rate comes from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from advise.outlines import convolutions, transformer
from regraft.advise.rate import rate
from regraft.plan.cell import FROZEN, TRAIN, Cell
from regraft.plan.phase import Phase
from regraft.surgery.specs import Lora


def phases(cell: Cell, *, stages: int = 7) -> tuple[Phase, ...]:
    return (Phase(name="all", cells=(*(cell,) * stages, TRAIN)),)


def test_a_known_pretraining_rate_decides():
    lr, why = rate(transformer(pretraining_lr=1e-3), phases(TRAIN))
    assert lr == 1e-4
    assert why == "lr 0.0001: a tenth of the pretraining rate 0.001"


def test_a_pretraining_rate_of_sgd_says_nothing_about_adamw():
    assert rate(replace(convolutions(), pretraining_lr=0.5), phases(TRAIN, stages=4))[0] == 1e-3


@pytest.mark.parametrize(("width", "expected"), [(768, 5e-5), (1024, 2.8e-5), (384, 2e-4), (192, 3e-4)])
def test_narrow_transformers_take_more_than_the_published_ones(width: int, expected: float):
    assert rate(transformer(width=width), phases(TRAIN))[0] == pytest.approx(expected)


def test_batch_norm_networks_take_more_than_those_without():
    assert rate(convolutions(), phases(TRAIN, stages=4))[0] > rate(convolutions(batch_norm=False), phases(TRAIN, stages=4))[0]


@pytest.mark.parametrize("cell", [Cell(trainable=True, edit=Lora(), only="edit"), Cell(trainable=True, only="bias")])
def test_edits_and_biases_take_ten_times_as_much(cell: Cell):
    lr, why = rate(transformer(width=768), phases(cell))
    assert lr == pytest.approx(5e-4)
    assert "10 times the rate of full fine-tuning" in why


def test_a_head_alone_counts_as_full_fine_tuning():
    assert rate(transformer(), phases(FROZEN))[0] == rate(transformer(), phases(TRAIN))[0]


def test_random_weights_take_the_rate_of_training_from_scratch():
    (phase,) = phases(TRAIN)
    lr, why = rate(transformer(width=768), (replace(phase, fresh=True),))
    assert lr == 5e-4
    assert "random weights" in why


def test_kept_statistics_of_batch_norm_take_a_lower_rate_where_it_would_be_higher():
    outline = convolutions()
    kept, free = rate(outline, phases(TRAIN, stages=4), keeps_statistics=True)[0], rate(outline, phases(TRAIN, stages=4))[0]
    assert kept == pytest.approx(3e-4) and kept < free
    slow = replace(outline, pretraining_lr=1e-3)
    assert rate(slow, phases(TRAIN, stages=4), keeps_statistics=True)[0] == pytest.approx(1e-4)


def test_a_rate_that_was_measured_for_a_model_goes_before_all_tables():
    outline = replace(convolutions(), reference="bundled:vision")
    lr, why = rate(outline, phases(TRAIN, stages=4), keeps_statistics=True)
    assert lr == 1e-3 and "measured" in why
