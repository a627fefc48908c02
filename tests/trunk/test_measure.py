from __future__ import annotations

import pytest
import torch
from torch import nn

from regraft.spec import InputSpec
from regraft.testing.hosts import HOSTS
from regraft.trunk.measure import measure
from regraft.trunk.outline import Outline
from regraft.trunk.trunk import Trunk
from regraft.trunk.weightless import weightless


def small() -> Trunk:
    host = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 5))
    spec = InputSpec(kind="image", size=(4, 4))
    return Trunk.of(host, stages=[("stem", ["0", "1", "2"]), ("neck", ["3", "4"])], input=spec)


def test_counts_are_those_done_by_hand():
    stem, neck = measure(small()).stages
    assert (stem.parameters, stem.biases, stem.norms, stem.has_batch_norm) == (3 * 8 * 9 + 8 + 16, 16, 16, True)
    assert (neck.parameters, neck.biases, neck.norms, neck.has_batch_norm) == (8 * 16 * 5 + 5, 5, 0, False)
    assert neck.linears == (("4", 128, 5),)
    assert (stem.macs, neck.macs) == (3 * 8 * 9 * 16, 128 * 5)
    assert (stem.entry_bytes, neck.entry_bytes) == (3 * 16 * 4, 8 * 16 * 4)


def test_kept_activations_are_what_autograd_holds():
    """The convolution keeps its input, the batch norm its input and two statistics per channel for the batch, the ReLU its output
    (which is what the linear layer keeps too, so that it is counted where it arises)."""
    stem, neck = measure(small()).stages
    pixels, maps, statistics = 3 * 16 * 4, 8 * 16 * 4, 2 * 8 * 4 // 2
    assert stem.activation_bytes == pixels + maps + statistics + maps
    assert neck.activation_bytes == 0


def test_published_counts_are_met():
    from torchvision.models import resnet50

    outline = measure(Trunk.of(resnet50()))
    assert outline.parameters == 23_508_032  # 25,557,032 without the thousand classes
    assert sum(stage.macs for stage in outline.stages) / 1e9 == pytest.approx(4.09, abs=0.02)


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_every_family_is_counted_without_its_weights(name, monkeypatch):
    torch.manual_seed(0)
    trunk = Trunk.of(HOSTS[name].build())
    before = {key: value.clone() for key, value in trunk.host.state_dict().items()}
    rng, training = torch.get_rng_state(), trunk.host.training
    monkeypatch.setattr("regraft.trunk.measure.COPIES", ((weightless, "meta"),))
    outline = measure(trunk, 1600 if trunk.input.kind == "audio" else 8)
    assert outline.stage_names == trunk.stage_names
    assert outline.parameters == len(torch.cat([p.reshape(-1) for p in unique(trunk)]))
    blocks = [stage for stage in outline.stages if stage.name.startswith("blocks")]
    assert all(stage.macs > 0 and stage.entry_bytes > 0 and stage.activation_bytes > 0 for stage in blocks)
    assert Outline.from_json(outline.json()) == outline
    assert all(torch.equal(value, before[key]) for key, value in trunk.host.state_dict().items())
    assert (torch.equal(rng, torch.get_rng_state()), trunk.host.training) == (True, training)
    assert not any(module._forward_pre_hooks for module in trunk.host.modules())
    monkeypatch.setattr("regraft.trunk.measure.OFTEN", set())
    assert measure(trunk, 1600 if trunk.input.kind == "audio" else 8) == outline, "a repeated block counts as the first one did"


def unique(trunk: Trunk) -> list[nn.Parameter]:
    return list({id(p): p for stage in trunk.stages for _, p in stage.named_parameters(trunk.host)}.values())


def test_longer_texts_cost_more():
    trunk = Trunk.of(HOSTS["bert"].build())
    short, long = measure(trunk, 8), measure(trunk, 16)
    assert (short.probe_length, long.probe_length) == (8, 16)
    assert long.stages[1].entry_bytes == 2 * short.stages[1].entry_bytes
    assert long.stages[1].macs > 2 * short.stages[1].macs  # attention is quadratic
    assert measure(trunk).probe_length == 128


def test_a_forward_that_looks_at_values_is_run_on_a_copy():
    class Curious(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(3, 3)

        def forward(self, image):
            return self.body(image.mean((2, 3)) + (1 if image.sum().item() > 0 else 0))

    trunk = Trunk.of(Curious(), stages=["body"], input=InputSpec(kind="image", size=(4, 4)))
    assert measure(trunk).stages[0].macs == 9


def test_an_input_of_unknown_shape_leaves_costs_at_zero():
    outline = measure(Trunk.of(nn.Sequential(nn.Linear(4, 3)), stages=["0"]))
    assert (outline.stages[0].parameters, outline.stages[0].macs) == (15, 0)


def test_weightless_copy_shares_tied_weights_and_leaves_the_host_alone():
    host = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
    host["b"].weight = host["a"].weight
    copied = weightless(host)
    assert copied["a"].weight is copied["b"].weight
    assert copied["a"].weight.is_meta
    assert not host["a"].weight.is_meta
