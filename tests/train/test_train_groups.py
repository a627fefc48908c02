"""Law 6, law 12, law 3, and what each kind of cell lets move."""

from __future__ import annotations

import pytest
import torch
from train_hosts import IMAGE, TEXT, full, image_network, images, phase, plan, text_network, texts

from regraft.errors import PlanError, PreflightError, TrunkError
from regraft.plan.cell import FROZEN, TRAIN, Cell
from regraft.surgery.specs import Lora
from regraft.train import groups, transition
from regraft.train.fit import fit
from regraft.train.run import Run
from regraft.train.transition import Standing
from regraft.trunk.tensors import stage_digest
from regraft.trunk.trunk import Trunk

CELLS = {
    "all": [TRAIN] * 5,
    "head": [FROZEN] * 4 + [TRAIN],
    "rates": [FROZEN, Cell(trainable=True, lr_scale=0.25), Cell(trainable=True, lr_scale=0.5), TRAIN, TRAIN],
    "bias": [Cell(trainable=True, only="bias")] * 4 + [TRAIN],
    "norm": [Cell(trainable=True, only="norm")] * 4 + [TRAIN],
    "lora": [FROZEN, FROZEN, Cell(trainable=True, only="edit", edit=Lora(rank=2)), Cell(trainable=True, edit=Lora(rank=2)), TRAIN],
    "frozen edit": [FROZEN, FROZEN, Cell(edit=Lora(rank=2)), TRAIN, TRAIN],
}


def entered(network, cells, **settings):
    run = Run.of(network, plan(network, [phase("one", cells)], **settings), TEXT)
    run.enter(10)
    return run


@pytest.mark.parametrize("name", CELLS)
def test_groups_partition_the_trainable_parameters(name):
    network = text_network()
    run = entered(network, CELLS[name])
    held = [id(p) for group in run.optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in network.parameters() if p.requires_grad)
    assert [n for group in run.optimizer.param_groups for n in group["names"]] and len(held) == len(set(held))


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("head", {"head.linear.weight", "head.linear.bias"}),
        (
            "bias",
            {
                *(f"host.blocks.{i}.{m}.bias" for i in range(3) for m in ("norm", "mlp.fc1", "mlp.fc2")),
                "head.linear.weight",
                "head.linear.bias",
            },
        ),
        ("norm", {*(f"host.blocks.{i}.norm.{p}" for i in range(3) for p in ("weight", "bias")), "head.linear.weight", "head.linear.bias"}),
    ],
)
def test_a_cell_says_which_parameters_move(name, moves):
    assert {one.name for one in entered(text_network(), CELLS[name]).chosen} == moves


def test_only_edit_moves_what_the_edit_brought_and_all_moves_the_base_too():
    chosen = {one.name for one in entered(text_network(), CELLS["lora"]).chosen}
    below, above = {n for n in chosen if "blocks.1" in n}, {n for n in chosen if "blocks.2" in n}
    assert len(below) == 4 and all("lora_" in name for name in below)
    assert any("lora_" in name for name in above) and any("base_layer.weight" in name for name in above)


def test_rates_and_decay_are_those_of_the_cells():
    run = entered(text_network(), CELLS["rates"], weight_decay=0.1)
    table = {name: (group["lr_scale"], group["weight_decay"]) for group in run.optimizer.param_groups for name in group["names"]}
    assert table["host.blocks.0.mlp.fc1.weight"] == (0.25, 0.1)
    assert table["host.blocks.1.mlp.fc1.bias"] == (0.5, 0.0)
    assert table["host.blocks.2.norm.weight"] == (1.0, 0.0)
    assert table["head.linear.weight"] == (1.0, 0.1)
    assert len(run.optimizer.param_groups) == 6


def test_a_tied_parameter_is_held_once():
    network = text_network()
    network.host.blocks[1].mlp["fc1"] = network.host.blocks[0].mlp["fc1"]
    with pytest.raises(TrunkError, match="stands in"):
        Trunk.of(network.host, stages=[f"blocks.{i}" for i in range(3)], width=16)
    network = text_network()
    network.host.blocks[0].again = network.host.blocks[0].mlp["fc1"]
    run = entered(network, CELLS["all"])
    assert sum(one.parameter is network.host.blocks[0].again.weight for one in run.chosen) == 1


def test_groups_that_leave_a_parameter_out_are_refused():
    network = text_network()
    made = groups.groups(groups.moving(network, CELLS["all"])[1:], 0.0)
    with pytest.raises(PreflightError, match=r"in no group: host\.embedding\.weight"):
        groups.check_partition(network, made)


def test_a_phase_in_which_nothing_moves_is_refused():
    cells = [Cell(trainable=True, only="norm"), *[FROZEN] * 4]
    with pytest.raises(PlanError, match=r"no parameter moves in it \(stem: only=norm\)"):
        groups.moving(text_network(), cells)


def test_unfreezing_keeps_the_optimizer_state_of_what_was_training():
    network = text_network()
    chosen = plan(network, [phase("head", CELLS["head"]), phase("top", [FROZEN] * 3 + [TRAIN, TRAIN])])
    run = Run.of(network, chosen, TEXT)
    run.enter(4)
    for p in run.parameters:
        p.grad = torch.ones_like(p)
    run.optimizer.step()
    before = {p: {k: v.clone() for k, v in run.optimizer.state[p].items()} for p in run.parameters}
    run.phase = 1
    run.enter(4)
    assert len(run.parameters) > len(before)
    for p in run.parameters:
        kept = run.optimizer.state.get(p, {})
        assert kept.keys() == before.get(p, {}).keys()
        assert all(torch.equal(kept[k], before[p][k]) for k in kept)


def test_frozen_stages_are_byte_equal_and_in_eval_mode_buffers_included(tmp_path):
    network = image_network()
    chosen = plan(network, [phase("top", [False, True, True])], epochs=3.0)
    before, top = stage_digest(network, 0), stage_digest(network, 1)
    modes = []

    class Watch:
        def on_phase(self, start): ...
        def on_epoch(self, record): ...
        def on_step(self, record):
            modes.append((network.host.stem.training, network.host.stem[1].training, network.host.body[1].training, network.host.training))

    fit(network, chosen, IMAGE, {"train": images(24), "valid": images(8, seed=1)}, folder=tmp_path, observer=Watch())
    assert stage_digest(network, 0) == before and stage_digest(network, 1) != top
    assert set(modes) == {(False, False, True, False)}


@pytest.mark.parametrize(
    ("cell", "batch_norm", "follows"),
    [
        (TRAIN, "train", True),
        (TRAIN, "frozen", False),
        (Cell(trainable=True, only="norm"), "train", True),
        (Cell(trainable=True, only="edit", edit=Lora(rank=2)), "train", False),
    ],
)
def test_batch_norm_statistics_follow_the_data_only_where_the_layer_trains(cell, batch_norm, follows):
    network = image_network()
    run = Run.of(network, plan(network, [phase("one", [False, cell, True])], batch_norm=batch_norm), IMAGE)
    run.enter(2)
    assert network.host.body[1].training is follows
    assert not network.host.stem[1].training


def test_an_edit_that_a_later_phase_no_longer_names_is_merged():
    network = text_network()
    standing = Standing()
    with_edit, without = phase("lora", CELLS["lora"]), phase("all", CELLS["all"])
    settings = plan(network, [with_edit]).settings
    transition.enter(network, with_edit, standing, settings)
    with torch.no_grad():
        for p in standing.edited:
            p.add_(0.1)
    inputs = texts(4).batch([0, 1, 2, 3])
    network.eval()
    expected = network(inputs)
    transition.enter(network, without, standing, settings)
    network.eval()
    assert not standing.records and not standing.edited
    assert torch.allclose(network(inputs), expected, atol=1e-5)
    assert {p.shape for p in standing.moved} and network.host.blocks[1].mlp["fc1"].weight in standing.moved


def test_the_head_rate_is_the_scheduled_one(tmp_path):
    rates = []

    class Watch:
        def on_phase(self, start): ...
        def on_epoch(self, record): ...
        def on_step(self, record):
            rates.append(record.lr)

    network = text_network()
    fit(
        network,
        full(network, epochs=2.0, warmup_fraction=0.5, schedule="constant"),
        TEXT,
        {"train": texts(32), "valid": None},
        folder=tmp_path,
        observer=Watch(),
    )
    assert rates == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01, 0.01, 0.01, 0.01])
