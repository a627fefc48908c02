"""How each family names its stages, and that viewing leaves a model alone. Law 1 itself runs over the same hosts in tests/laws."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regraft.errors import TrunkError
from regraft.testing.hosts import HOSTS
from regraft.train.thinned import thinned
from regraft.trunk.families import BUILT_IN
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Trunk


@pytest.fixture(scope="module", params=sorted(HOSTS))
def case(request):
    torch.manual_seed(0)
    host = HOSTS[request.param].build().eval()
    before = {name: value.clone() for name, value in host.state_dict().items()}
    rng = torch.get_rng_state()
    trunk = Trunk.of(host)
    assert torch.equal(rng, torch.get_rng_state()), "viewing draws no random number"
    assert trunk.family == HOSTS[request.param].family
    return host, trunk, HOSTS[request.param].batch(), before


NAMES = ("stem", "embedding", "blocks", "recurrent", "attention", "neck")


def test_stages_are_named_from_stem_over_blocks_to_neck(case):
    _, trunk, _, _ = case
    kinds = [name.partition(".")[0] for name in trunk.stage_names]
    assert kinds == sorted(kinds, key=NAMES.index)
    assert kinds[0] in ("stem", "embedding", "blocks")  # SegFormer's blocks embed their patches themselves
    assert "blocks" in kinds or "recurrent" in kinds
    assert len(set(trunk.stage_names)) == len(trunk.stage_names)


def test_viewing_changes_no_bit_and_leaves_no_hook(case):
    host, trunk, batch, before = case
    after = host.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in host.modules())
    with torch.no_grad():
        assert torch.equal(trunk.features(batch), trunk.features(batch))


def test_features_are_of_the_stated_shape_and_reach_every_stage(case):
    host, trunk, batch, _ = case
    host.zero_grad()
    with thinned(host):
        features = trunk.features(batch)
    assert (features.shape[0], features.shape[-1]) == (2, trunk.width)
    assert features.ndim == (2 if trunk.pooling == "none" else 3)
    assert trunk.input.kind != "text" or trunk.pooling == "none" or features.shape[1] == batch["input_ids"].shape[1]
    features.square().sum().backward()
    for stage in trunk.stages:
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for _, p in stage.named_parameters(host)), stage.name
    host.zero_grad(set_to_none=True)


def test_every_family_file_has_a_host_here():
    assert {host.family for host in HOSTS.values()} == {file for files in BUILT_IN.values() for file in files}


class TestExplicitStages:
    def host(self) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.Linear(6, 3))

    def test_a_stage_may_be_a_path_a_pair_or_a_stage(self):
        trunk = Trunk.of(self.host(), stages=["0", ("rest", ["1", "2"]), Stage("top", ("3",))])
        assert trunk.stage_names == ("0", "rest", "top")
        assert trunk.width == 3
        assert trunk.features({"input": torch.zeros(5, 4)}).shape == (5, 3)

    def test_own_head_is_left_out_of_the_features(self):
        host = self.host()
        trunk = Trunk.of(host, stages=["0", "2"], head_paths=["3"])
        batch = {"input": torch.randn(5, 4)}
        features = trunk.features(batch)
        assert features.shape == (5, 6)
        assert trunk.width == 6
        assert torch.equal(host[3](features), host(batch["input"]))

    def test_unknown_path_names_the_nearest(self):
        host = nn.ModuleDict({"encoder": nn.Linear(2, 2)})
        with pytest.raises(TrunkError, match=r"stage module 'encodr'(.|\n)*did you mean 'encoder'"):
            Trunk.of(host, stages=["encodr"])

    def test_uncovered_parameters_are_named(self):
        with pytest.raises(TrunkError, match=r"no stage holds 2\.weight"):
            Trunk.of(self.host(), stages=["0"])

    def test_a_module_in_two_stages_is_refused(self):
        with pytest.raises(TrunkError, match=r"stands in 'a' and in 'b'"):
            Trunk.of(self.host(), stages=[("a", ["0", "2"]), ("b", ["2", "3"])])

    def test_no_width_to_be_found_asks_for_it(self):
        with pytest.raises(TrunkError, match=r"does not say the width(.|\n)*width=\.\.\."):
            Trunk.of(nn.Sequential(nn.ReLU()), stages=["0"])


def test_unknown_module_names_its_class_and_children():
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.top = nn.Linear(2, 2), nn.ReLU()

    with pytest.raises(TrunkError, match=r"Mine as stages\nfound: .*body \(Linear\), top \(ReLU\)\ntry: .*stages=\['body', 'top'\]"):
        Trunk.of(Mine())
