"""Laws 1 to 6 and 8 over every registered family; law 1 over every variant of each."""

from __future__ import annotations

from functools import partial
from importlib.metadata import entry_points

import pytest
import torch
from torch import nn

from regraft import testing
from regraft.surgery.edits import apply
from regraft.surgery.specs import Adapter, Lora
from regraft.testing.hosts import HOSTS, representatives, trunk_of
from regraft.testing.toy import ToyHost, task_for, with_head
from regraft.trunk.families import BUILT_IN
from regraft.trunk.load import load
from regraft.trunk.trunk import Trunk

FAMILIES = representatives()


def test_every_registered_family_has_a_host():
    built_in = {file for files in BUILT_IN.values() for file in files}
    assert set(FAMILIES) == built_in
    assert len(FAMILIES) + len(entry_points(group="regraft.families")) == 18, "a family came or went: give it a host in testing.hosts"


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_laws_hold_for_a_family(family):
    host = HOSTS[FAMILIES[family]]
    counts = testing.check_family(host.build, host.examples)
    assert counts["stages"] >= 4
    assert counts["boundaries"] == counts["stages"], "every boundary of a built-in family can be cached"
    assert counts["edits"] == (1 if family == "recurrent" else 2), "adapters stand in transformer blocks and in networks of images"
    assert counts["frozen"] == counts["stages"] - 1


@pytest.mark.parametrize("name", sorted(set(HOSTS) - set(FAMILIES.values())))
def test_viewing_any_variant_changes_nothing(name):
    torch.manual_seed(0)
    assert testing.check_view(Trunk.of(HOSTS[name].build()), HOSTS[name].batch()) >= 3


def test_stages_named_by_hand_obey_the_same_laws():
    cut = partial(Trunk.of, stages=["stem", *(f"blocks.{i}" for i in range(3)), "norm"], input=testing.ToyTrunk().input)
    counts = testing.check_family(ToyHost, testing.images, view=cut)
    assert counts == {"stages": 5, "boundaries": 5, "edits": 2, "frozen": 4, "groups": 2}


def test_saved_and_asked_in_a_fresh_process_every_family_answers_the_same():
    cases = {name: stored(trunk_of(name), HOSTS[name].batch()) for name in FAMILIES.values()}
    bert = with_head(trunk_of("bert"))
    records = [apply(bert, 1, Lora(rank=2)), apply(bert, 2, Adapter(width=4))]
    cases["bert with edits"] = testing.Stored(network=bert, task="text-classification", inputs=HOSTS["bert"].batch(), edits=records)
    cases["toy"] = stored(load("module:regraft.testing.toy.ToyTrunk?blocks=2"), testing.images(2).batch([0, 1]))
    cases["toy"].inputs["image"] = cases["toy"].inputs["image"].float()
    assert testing.check_round_trip(cases) == len(FAMILIES) + 2


def stored(trunk: Trunk, inputs: dict[str, torch.Tensor]) -> testing.Stored:
    torch.manual_seed(0)
    return testing.Stored(network=with_head(trunk), task=task_for(trunk), inputs=inputs)


class Leaking(nn.Module):
    """What a family must not do: a stage that is called twice, and dropout that stands in no stage."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.first, self.second, self.dropout, self.fault = nn.Linear(4, 4), nn.Linear(4, 4), nn.Dropout(0.5), fault

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(self.first(x) if self.fault == "twice" else x)
        return self.second(self.dropout(x) if self.fault == "dropout" else x)


@pytest.mark.parametrize(
    ("fault", "sentence"), [("twice", "its stages are called as"), ("dropout", "dropout 'dropout' stands in no stage")]
)
def test_a_view_that_breaks_the_law_is_told_so(fault, sentence):
    trunk = Trunk.of(Leaking(fault), stages=["first", "second"])
    with pytest.raises(AssertionError, match=sentence):
        testing.check_view(trunk, {"input": torch.randn(2, 4)})
