"""A package that nobody here knows registers a family, an edit, a strategy and an objective by entry points, and runs the kit over them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ENTRY_POINTS = """\
[regraft.families]
tower = towers:view

[regraft.edits]
shift = towers:SHIFT

[regraft.strategies]
every_other = tower_plans:every_other

[regraft.objectives]
entropy = tower_losses:entropy
"""
PACKAGE = '''
from dataclasses import dataclass

import torch
from torch import nn

from regraft.surgery.edits import Kind
from regraft.surgery.sites import Site, stand, uncover
from regraft.trunk.layers import linear_layers
from regraft.trunk.trunk import Trunk


class Tower(nn.Module):
    """Two residual layers over the mean colour of an image."""

    def __init__(self):
        super().__init__()
        self.door, self.first, self.second = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, image):
        x = torch.relu(self.door(image.mean((2, 3))))
        x = x + torch.relu(self.first(x))
        return x + torch.relu(self.second(x))


def view(host, **facts):
    if not isinstance(host, Tower):
        return None
    from regraft.spec import InputSpec

    stages = [("stem", ["door"]), ("blocks.0", ["first"]), ("blocks.1", ["second"])]
    told = {"family": "tower", "input": InputSpec(kind="image", size=(8, 8)), "run": lambda host, inputs: host(inputs["image"])}
    return Trunk.of(host, stages=stages, width=8, **told | facts)


@dataclass(frozen=True)
class Shift:
    """A number added to each output of the linear layers."""

    scale: float = 1.0
    kind = "shift"
    label = "shift"
    is_linear = True

    def added_parameters(self, linears):
        return sum(out for _, _, out in linears)


class Shifted(nn.Module):
    def __init__(self, base_layer, scale):
        super().__init__()
        self.base_layer, self.by, self.scale = base_layer, nn.Parameter(torch.zeros(base_layer.out_features)), scale

    def forward(self, x):
        return self.base_layer(x) + self.scale * self.by


def find(network, index, edit):
    return tuple(Site(path, out) for path, _, out in linear_layers(network.host, network.trunk.stages)[index])


def install(network, sites, edit):
    for site in sites:
        stand(network.host, site.path, Shifted(network.host.get_submodule(site.path), edit.scale))


@torch.no_grad()
def fold(network, sites):
    for site in sites:
        shifted = network.host.get_submodule(site.path)
        shifted.base_layer.bias.add_(shifted.scale * shifted.by)
        uncover(network.host, site.path)


SHIFT = Kind(find, install, fold, Shift)
'''
PLANS = """
from regraft.plan.cell import FROZEN
from regraft.plan.columns import over_stages
from regraft.plan.strategy import strategy


@strategy
def every_other(outline, phases):
    return over_stages(phases, lambda index, cell: cell if index % 2 else FROZEN)
"""
LOSSES = '''
from regraft.train.objective import Declared, Term, objective


@objective
def entropy(*, weight: float = 0.1) -> Declared:
    """Reward uncertain answers."""
    def shares(seen):
        p = seen.logits.log_softmax(1)
        return weight * (p.exp() * p).sum(1)
    return Declared(lambda start: Term(shares=shares))
'''
SCRIPT = """
from towers import Shift, Tower

from regraft import testing
from regraft.surgery.specs import edit_from_json, edit_json
from regraft.trunk.trunk import Trunk

assert Trunk.of(Tower()).family == "tower"
assert edit_from_json(edit_json(Shift(scale=0.5))) == Shift(scale=0.5)
print(testing.check_family(Tower, testing.images, edits=[Shift()]))
print(testing.check_edits(Shift(), Shift(scale=0.5)))
print(testing.check_strategy("every_other")["phases"], testing.check_strategy("every_other+lp_ft")["phases"])
print(testing.check_objective("entropy(weight=0.05)")["cached"])
"""


def test_a_third_party_can_check_what_it_registers(tmp_path: Path):
    (tmp_path / "towers.py").write_text(PACKAGE, encoding="utf-8")
    (tmp_path / "tower_plans.py").write_text(PLANS, encoding="utf-8")
    (tmp_path / "tower_losses.py").write_text(LOSSES, encoding="utf-8")
    facts = tmp_path / "towers-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: towers\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    place = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=place, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
    family, edit, strategy, objective = done.stdout.splitlines()
    assert "'stages': 3, 'boundaries': 3, 'edits': 1, 'frozen': 2" in family
    assert edit == "{'identity': 2, 'merged': 2, 'round_trip': 2}"
    assert strategy == "1 2"
    assert objective == "1"
