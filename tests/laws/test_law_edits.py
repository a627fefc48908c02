"""Laws 2, 5 and 8 over every registered edit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import get_args

import pytest
import torch
from torch import nn

from regraft import testing
from regraft.surgery import edits
from regraft.surgery.sites import Site, stand
from regraft.surgery.specs import KINDS, Adapter, Lora, LoraVariant, Placement
from regraft.surgery.structure import Deepen, Drop, Insert, Inserted, Prune, Replace, Widen
from regraft.testing.hosts import HOSTS, trunk_of
from regraft.testing.model_laws import check_cached
from regraft.testing.surgery_laws import check_identity, check_merge, keeps_function, stage_for
from regraft.testing.toy import with_head

EDITS = [
    *(Lora(rank=2, alpha=4.0, variant=variant) for variant in get_args(LoraVariant)),
    *(Adapter(width=4, placement=placement) for placement in get_args(Placement)),
]
STRUCTURAL = [
    Drop(),
    *(Insert(module=module) for module in get_args(Inserted)),
    Replace(norm="rms"),
    Replace(block="fresh"),
    Replace(head="mlp"),
    Replace(head="linear"),
    Prune(),
    Widen(),
    Deepen(),
]
SEEN_IN_BERT = [Prune(what="heads"), Replace(activation="relu"), Replace(pooling="first")]
"""The toy has no attention, no module for its activation, and pools by itself."""
NO_PLACE = {
    "torchvision resnet": {"replace norm by rms", "replace activation by relu", "replace pooling by first", "prune 25% of the heads"},
    "torchvision vit": {"replace pooling by first", "prune 25% of the heads"},
    "bert": {"insert se"},
    "gpt2": {"insert se"},
    "llama": {"insert se", "replace norm by rms"},
}
"""What a model cannot take: a squeeze sees padding, ``nn.MultiheadAttention`` is fused, a ResNet has ReLU already."""
MODELS = ("timm resnet10t", "torchvision vit", "bert", "gpt2", "llama")
ELSEWHERE = {"quantize"}
"""It takes bitsandbytes, which is not among the tests' packages: tests/surgery/test_quantize.py."""
REFUSED = {("timm resnet10t", "pissa r2")}
"""peft has no PiSSA for convolutions."""


def test_every_registered_kind_is_here():
    assert {edit.kind for edit in [*EDITS, *STRUCTURAL]} | ELSEWHERE == set(edits.REGISTRY) | set(edits._installed()) == set(KINDS)
    assert (len(EDITS), len(STRUCTURAL)) == (7, 12)


def test_the_laws_hold_for_every_edit():
    assert testing.check_edits(*EDITS) == {"identity": 7, "merged": 5, "round_trip": 7}


def test_the_laws_hold_for_every_edit_of_the_structure():
    assert testing.check_edits(*STRUCTURAL) == {"identity": 7, "merged": 0, "round_trip": 12}
    counts = testing.check_edits(*SEEN_IN_BERT, make=lambda: with_head(trunk_of("bert")), examples=testing.sentences)
    assert counts == {"identity": 0, "merged": 0, "round_trip": 3}


@pytest.mark.parametrize("name", sorted(NO_PLACE))
def test_edits_of_the_structure_obey_their_laws_in_each_kind_of_model(name):
    inputs, refused = HOSTS[name].batch(), set()
    for edit in [*STRUCTURAL, *SEEN_IN_BERT]:
        torch.manual_seed(0)
        network = with_head(trunk_of(name))
        if network.trunk.input.kind == "image":  # a small probe
            network.trunk.input = replace(network.trunk.input, size=(32, 32))
        index = stage_for(network, edit)
        if index is None:
            refused.add(edit.label)
            continue
        if keeps_function(edit):
            check_identity(network, index, edit, inputs)
        assert not check_merge(network, index, edit, inputs)
    assert refused == NO_PLACE[name]


@pytest.mark.parametrize("surgery", [[Drop(), Insert(module="block")], [Prune(what="heads"), Widen()]])
def test_what_is_edited_can_be_cached_at_every_boundary(surgery):
    network = with_head(trunk_of("bert"))
    for edit in surgery:
        edits.apply(network, 1, edit)
    assert check_cached(network, HOSTS["bert"].batch()) == len(network.trunk.stages)


@pytest.mark.parametrize("name", MODELS)
def test_edits_obey_their_laws_in_each_kind_of_model(name):
    inputs, count = HOSTS[name].batch(), 0
    for edit in EDITS:
        torch.manual_seed(0)
        network = with_head(trunk_of(name))
        index = stage_for(network, edit)
        if index is None:
            assert (name, edit.label) in REFUSED
            continue
        check_identity(network, index, edit, inputs)
        assert check_merge(network, index, edit, inputs) == (edit.kind == "lora")
        count += 1
    assert count == len(EDITS) - sum(model == name for model, _ in REFUSED)


@dataclass(frozen=True)
class Shift:
    """An edit of a third party: adds ``by`` to what a stage gives. With ``by`` other than 0 it breaks law 2."""

    by: float = 0.0
    kind = "shift"
    label = "shift"


class Shifted(nn.Module):
    def __init__(self, base_layer: nn.Module, by: float) -> None:
        super().__init__()
        self.base_layer, self.by = base_layer, nn.Parameter(torch.full((16,), by))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_layer(x) + self.by


def find(network, index, edit):
    return (Site(network.trunk.stages[index].modules[-1], 16),)


def install(network, sites, edit):
    for site in sites:
        stand(network.host, site.path, Shifted(network.host.get_submodule(site.path), edit.by))


def test_an_edit_that_breaks_a_law_is_told_so(monkeypatch):
    monkeypatch.setitem(edits.REGISTRY, "shift", edits.Kind(find, install))
    inputs = {"image": torch.randn(3, 3, 8, 8)}
    check_identity(testing.toy_network(), 4, Shift(), inputs)
    assert not check_merge(testing.toy_network(), 4, Shift(), inputs)
    with pytest.raises(AssertionError, match="a fresh shift in neck is not the identity"):
        check_identity(testing.toy_network(), 4, Shift(by=1.0), inputs)
    assert asdict(Shift(by=1.0)) == {"by": 1.0}
