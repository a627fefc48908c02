"""The equality law of the cache: at every boundary of every family, cached equals live, bit for bit, gradients of the rest included."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from cache_hosts import CLASSES, FAMILIES, Host, LateSkip, PoolingHead, build, explicit
from torch import Tensor, nn

from regraft.cache.boundary import Boundary, capture_many
from regraft.cache.placeholder import NotReproduced, Placeholder
from regraft.errors import PlanError
from regraft.trunk.network import Network
from regraft.trunk.trunk import Trunk

SHAPES = ((2, 9), (3, 12), (5, 7), (1, 11))


@pytest.fixture(scope="module", params=FAMILIES)
def host(request: pytest.FixtureRequest) -> Host:
    return build(request.param)


def freeze(host: Host, index: int) -> None:
    for at in range(len(host.network.trunk.stages) + 1):
        for _, parameter in host.network.stage_parameters(at):
            parameter.requires_grad_(at >= index)


def gradients(host: Host, logits: Tensor) -> dict[str, Tensor]:
    host.network.zero_grad()
    nn.functional.cross_entropy(logits, torch.arange(len(logits)) % CLASSES).backward()
    return {name: p.grad.clone() for name, p in host.network.named_parameters() if p.grad is not None}


def test_cached_logits_equal_live_ones_at_every_boundary(host: Host) -> None:
    checked = 0
    for index in host.boundaries:
        boundary = Boundary(host.network, index)
        for batch, length in SHAPES:
            assert boundary.probe(host.inputs(batch, length)) == 0.0, (boundary.name, batch, length)
            checked += 1
    assert checked == len(SHAPES) * len(host.network.trunk.stages)


def test_gradients_of_the_rest_equal_live_ones(host: Host) -> None:
    host.network.eval()
    inputs = host.inputs(3, 12)
    for index in host.boundaries:
        freeze(host, index)
        boundary = Boundary(host.network, index)
        live = gradients(host, host.network(inputs))
        cached = gradients(host, boundary.resume(boundary.capture(inputs), inputs))
        assert live.keys() == cached.keys() and len(live) >= 2
        assert all(torch.equal(live[name], cached[name]) for name in live), boundary.name
    freeze(host, 0)


def test_nothing_is_left_on_the_network(host: Host) -> None:
    host.network.train()
    before = {name: set(module.__dict__) for name, module in host.network.named_modules()}
    boundary = Boundary(host.network, host.boundaries[-1] - 1)
    inputs = host.inputs(2, 9)
    boundary.resume(boundary.capture(inputs), inputs)
    assert {name: set(module.__dict__) for name, module in host.network.named_modules()} == before
    assert all(module.training for module in host.network.modules())
    assert boundary.entrance(inputs).entries.keys() == boundary.capture(inputs).keys()


def test_only_what_depends_on_the_prefix_is_kept() -> None:
    kept = {
        name: len(Boundary(build(name).network, 2).entrance(build(name).inputs(2, 9)).entries) for name in ("bert", "deberta_v2", "llama")
    }
    assert kept == {"bert": 1, "deberta_v2": 1, "llama": 1}
    several = build("explicit")
    assert len(Boundary(several.network, 2).capture(several.inputs(3, 0))) == 3


def test_dropout_in_the_rest_draws_the_same_numbers(host: Host) -> None:
    """A frozen prefix in eval mode draws none, so the seed means the same with and without the cache."""
    host.network.eval()
    inputs = host.inputs(3, 12)
    index = host.boundaries[-1] - 1
    freeze(host, index)
    for at in range(index, len(host.network.trunk.stages) + 1):
        for module in host.network.stage_modules(at):
            module.train()
    boundary = Boundary(host.network, index)
    entries = boundary.capture(inputs)
    states = copy.deepcopy(host.network.state_dict())
    torch.manual_seed(7)
    live = host.network(inputs)
    host.network.load_state_dict(states)
    torch.manual_seed(7)
    assert torch.equal(boundary.resume(entries, inputs), live)
    freeze(host, 0)


def test_several_boundaries_are_captured_in_one_forward(host: Host) -> None:
    inputs = host.inputs(3, 12)
    boundaries = [Boundary(host.network, index) for index in host.boundaries]
    together = capture_many(boundaries, inputs)
    assert list(together) == list(host.boundaries)
    for boundary in boundaries:
        alone = boundary.capture(inputs)
        assert alone.keys() == together[boundary.index].keys()
        assert all(torch.equal(alone[name], together[boundary.index][name]) for name in alone), boundary.name


def test_a_prefix_in_training_mode_is_not_touched() -> None:
    host = build("timm_resnet")
    host.network.train()
    before = copy.deepcopy(host.network.state_dict())
    boundary = Boundary(host.network, 3)
    for batch in (2, 3, 4):
        boundary.resume(boundary.capture(host.inputs(batch, 0)), host.inputs(batch, 0))
    stem_and_below = [name for name in before if not name.startswith(("host.layer3", "host.layer4", "head"))]
    assert len(stem_and_below) > 10
    assert all(torch.equal(before[name], host.network.state_dict()[name]) for name in stem_and_below)
    assert not torch.equal(before["host.layer4.0.bn1.running_mean"], host.network.state_dict()["host.layer4.0.bn1.running_mean"])


def test_pixels_may_be_left_out_once_a_batch_has_been_seen() -> None:
    host = build("timm_vit")
    boundary = Boundary(host.network, 2)
    inputs = host.inputs(4, 0)
    entries = boundary.capture(inputs)
    host.network.eval()
    assert torch.equal(boundary.resume(entries, {}), host.network(inputs))
    with pytest.raises(ValueError, match="no inputs, and no batch seen yet"):
        Boundary(host.network, 2).resume(entries, {})


@pytest.mark.parametrize("name", ["bert", "timm_resnet"])
def test_pooled_features_are_enough_for_a_linear_probe(name: str) -> None:
    host = build(name)
    host.network.eval()
    inputs = host.inputs(3, 12)
    boundary = Boundary(host.network, host.boundaries[-1])
    pooled = boundary.capture_pooled(inputs)
    assert pooled["pooled"].shape == (3, host.network.trunk.width)
    assert torch.equal(boundary.resume(pooled, inputs), host.network(inputs))
    with pytest.raises(PlanError, match="only a head that pools"):
        Boundary(host.network, 1).capture_pooled(inputs)


def test_a_value_that_enters_and_is_used_again_further_up_is_filled_in_there_too() -> None:
    host = explicit(LateSkip())
    assert [Boundary(host.network, index).probe(host.inputs(3, 0)) for index in (1, 3, 4)] == [0.0, 0.0, 0.0]


class ReadsValues(nn.Module):
    """The host's own code branches on what its first stage made."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 16), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(x if x.mean() > 0 else -x)


class SkipsAround(ReadsValues):
    """Half of what the second stage's input is made from comes back after it."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(x * 2) + x


@pytest.mark.parametrize(("module", "says"), [(ReadsValues, "reads values of its prefix"), (SkipsAround, "does not enter by that stage")])
def test_a_model_that_needs_its_prefix_is_reported_and_trained_live(module: type[nn.Module], says: str) -> None:
    from cache_hosts import network_of

    from regraft.trunk.stage import Stage

    network = network_of(
        module(), [Stage("first", ("first",)), Stage("second", ("second",))], lambda host, inputs: host(inputs["input"]), 16
    )
    found = Boundary(network, 1).examine({"input": torch.randn(3, 6)})
    assert not found.holds
    assert says in str(found) and "trained live" in str(found)
    with pytest.raises(NotReproduced, match="train this phase live"):
        Boundary(network, 1).probe({"input": torch.randn(3, 6)})


def test_a_trainable_parameter_below_the_boundary_is_refused() -> None:
    host = build("timm_vit")
    boundary = Boundary(host.network, 1)
    inputs = host.inputs(2, 0)
    with pytest.raises(NotReproduced, match="a trainable parameter below that stage"):
        boundary.resume(boundary.capture(inputs), inputs)


@pytest.mark.parametrize("index", [0, 5, -1])
def test_a_boundary_outside_the_trunk_is_refused(index: int) -> None:
    with pytest.raises(PlanError, match="a boundary from 1 to 4"):
        Boundary(build("bert").network, index)


def test_under_autocast_cached_equals_live() -> None:
    host = build("bert")
    host.network.eval()
    inputs = host.inputs(3, 12)
    for index in host.boundaries:
        boundary = Boundary(host.network, index)
        with torch.autocast("cpu", torch.bfloat16):
            assert boundary.probe(inputs) == 0.0, boundary.name
        assert boundary.probe(inputs) == 0.0, boundary.name


def test_entries_in_half_precision_are_raised_to_what_the_stage_meets_live() -> None:
    host = build("bert")
    boundary = Boundary(host.network, 2)
    inputs = host.inputs(3, 12)
    host.network.eval()
    halves = {name: tensor.bfloat16() for name, tensor in boundary.capture(inputs).items()}
    logits = boundary.resume(halves, inputs)
    assert logits.dtype == torch.float32
    assert 0 < (logits - host.network(inputs)).abs().max() < 0.05


def test_with_lora_above_the_boundary() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    host = build("bert")
    config = LoraConfig(r=2, target_modules=["encoder.layer.2.attention.self.query"], init_lora_weights=False)
    inject_adapter_in_model(config, host.network.host)
    boundary = Boundary(host.network, 3)
    inputs = host.inputs(3, 12)
    assert boundary.probe(inputs) == 0.0
    grads = gradients(host, boundary.resume(boundary.capture(inputs), inputs))
    assert sum("lora_" in name for name in grads) == 2


def test_through_a_wrapper(tmp_path) -> None:
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    host = build("bert")
    freeze(host, 2)
    host.network.eval()
    inputs = host.inputs(3, 12)
    boundary, below_head = Boundary(host.network, 2), Boundary(host.network, 4)
    live = gradients(host, host.network(inputs))
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(host.network)
        cached = gradients(host, boundary.resume(boundary.capture(inputs), inputs, through=wrapped))
        assert live.keys() == cached.keys()
        assert all(torch.equal(live[name], cached[name]) for name in live)
        for entries in (below_head.capture(inputs), below_head.capture_pooled(inputs)):
            assert torch.equal(below_head.resume(entries, inputs, through=wrapped), host.network(inputs))
    finally:
        dist.destroy_process_group()


def test_with_gradient_checkpointing_above_the_boundary() -> None:
    host = build("bert")
    freeze(host, 2)
    host.network.train()
    for module in host.network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    inputs = host.inputs(3, 12)
    boundary = Boundary(host.network, 2)
    plain = gradients(host, boundary.resume(boundary.capture(inputs), inputs))
    host.network.host.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    saved = gradients(host, boundary.resume(boundary.capture(inputs), inputs))
    assert plain.keys() == saved.keys()
    assert all(torch.equal(plain[name], saved[name]) for name in plain)


def test_a_skipped_layer_at_the_boundary_lets_the_next_one_take_its_place() -> None:
    """Wav2Vec2 drops whole layers at random while it trains."""
    host = build("wav2vec2")
    host.network.eval()
    inputs = host.inputs(3, 12)
    boundary = Boundary(host.network, 2)
    entries = boundary.capture(inputs)
    encoder = host.network.host.encoder
    encoder.train(True)
    for module in encoder.layers.modules():
        module.training = False
    encoder.dropout.eval()
    encoder.config.layerdrop = 0.7
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        logits = boundary.resume(entries, inputs)
        assert not isinstance(logits, Placeholder)
        seen.add(round(logits.sum().item(), 5))
    assert len(seen) >= 3


def test_another_thread_meets_the_live_model() -> None:
    host = build("bert")
    host.network.eval()
    boundary = Boundary(host.network, 2)
    inputs = host.inputs(3, 12)
    entries, live = boundary.capture(inputs), host.network(inputs)
    wrong: list[int] = []

    def work(call) -> None:
        wrong.extend(1 for _ in range(20) if not torch.equal(call(), live))

    calls = [
        lambda: host.network(inputs),
        lambda: boundary.resume(entries, inputs),
        lambda: Boundary(host.network, 1).resume(boundary_1, inputs),
    ]
    boundary_1 = Boundary(host.network, 1).capture(inputs)
    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def timm_host(name: str, **sizes: int) -> nn.Module:
    import timm

    return timm.create_model(name, num_classes=0, **sizes)


REGISTERED = {
    name: lambda name=name: build(name).network.host for name in FAMILIES if not name.startswith(("explicit", "timm", "torchvision_vit"))
} | {
    "timm_resnet": lambda: timm_host("resnet10t"),
    "timm_vit": lambda: timm_host("vit_tiny_patch16_224", img_size=16, patch_size=8, depth=2),
}


@pytest.mark.parametrize("name", REGISTERED)
def test_every_registered_family_can_be_cached_at_every_boundary(name: str) -> None:
    """The stages here are those that the family file gives."""
    trunk = Trunk.of(REGISTERED[name]())
    network = Network(trunk, PoolingHead(trunk.width, "none" if trunk.pooling == "none" else "first"))
    found = [Boundary(network, index).examine(build(name).inputs(3, 12)) for index in range(1, len(trunk.stages) + 1)]
    assert len(found) >= 3
    assert [str(equality) for equality in found if not equality.holds] == []
