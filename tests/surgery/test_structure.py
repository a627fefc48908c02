"""Edits of the structure: what each does, where it is refused, and that it leaves no trace when taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from regraft.errors import TrunkError
from regraft.surgery.changes import watched
from regraft.surgery.edits import apply, merge, undo
from regraft.surgery.flow import answers, outlet, passages, probe_inputs
from regraft.surgery.heads import LinearHead
from regraft.surgery.inner import inner_sizes
from regraft.surgery.operation import operate, operate_on_trunk, take_back
from regraft.surgery.specs import Lora
from regraft.surgery.steps import Step
from regraft.surgery.structure import Deepen, Drop, Insert, Prune, Replace, Widen
from regraft.surgery.swap import MlpHead
from regraft.testing.hosts import trunk_of
from regraft.testing.toy import toy_network, with_head
from regraft.trunk.network import Network
from regraft.trunk.tensors import digests
from regraft.trunk.trunk import Trunk


def network_of(name: str) -> Network:
    torch.manual_seed(0)
    return with_head(trunk_of(name)).eval()


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "qwen2", "vit", "torchvision vit", "whisper", "wav2vec2"])
def test_a_dropped_block_leaves_a_model_as_if_it_had_never_been(name):
    network = network_of(name)
    blocks = [stage for stage in network.trunk.stage_names if stage.startswith("blocks.")]
    kept = digests(network.trunk.host.get_submodule(network.trunk.stages[network.trunk.stage_names.index("blocks.2")].modules[0]))
    record = apply(network, network.trunk.stage_names.index("blocks.1"), Drop())
    assert [stage for stage in network.trunk.stage_names if stage.startswith("blocks.")] == blocks[:-1]
    now = network.trunk.stages[network.trunk.stage_names.index("blocks.1")]
    assert digests(network.trunk.host.get_submodule(now.modules[0])) == kept
    config = getattr(network.host, "config", None)
    if config is not None:
        assert config.num_hidden_layers == len(blocks) - 1
        viewed = Trunk.of(network.host)
        assert [stage.modules for stage in viewed.stages] == [stage.modules for stage in network.trunk.stages]
        assert torch.equal(viewed.features(probe_inputs(viewed)), network.trunk.features(probe_inputs(network.trunk)))
    undo(network, record)
    assert config is None or config.num_hidden_layers == len(blocks)


def test_layers_of_a_decoder_are_numbered_anew_so_that_it_still_generates():
    network = network_of("qwen2")
    operate(network, [Step(Drop(), "blocks.0"), Step(Deepen(), "blocks.1")])
    host = network.host
    assert [layer.self_attn.layer_idx for layer in host.layers] == [0, 1, 2]
    assert len(host.config.layer_types) == host.config.num_hidden_layers == 3
    ids = torch.arange(1, 7)[None]
    whole = host(input_ids=ids, use_cache=False).last_hidden_state
    first = host(input_ids=ids[:, :5], use_cache=True)
    then = host(input_ids=ids[:, 5:], past_key_values=first.past_key_values, use_cache=True).last_hidden_state
    assert torch.allclose(whole[:, 5:], then, atol=1e-5)


def test_a_stage_that_changes_the_shape_is_not_dropped():
    with pytest.raises(TrunkError, match="it takes 64 x 8 x 8 and gives 128 x 4 x 4"):
        network = network_of("torchvision resnet")
        network.trunk.input = replace(network.trunk.input, size=(32, 32))
        apply(network, 2, Drop())


def test_an_inserted_squeeze_learns_one_factor_for_each_channel():
    network = network_of("timm vit")
    record = apply(network, 1, Insert(module="se", width=4))
    squeeze = network.host.blocks[0].inserted
    with torch.no_grad():
        squeeze.up.bias[3] = 100.0
    values = torch.randn(2, 5, 48)
    assert torch.allclose(squeeze(values)[..., 3], 2 * values[..., 3])
    assert len(record.parameters) == 4


def test_a_gated_block_starts_shut_and_gets_a_gradient():
    network = network_of("bert")
    apply(network, 1, Insert(module="block"))
    network(probe_inputs(network.trunk)).square().sum().backward()
    gated = network.host.encoder.layer[0].inserted
    assert gated.gate.grad.abs().sum() > 0
    assert not gated.block.output.dense.weight.grad.any(), "behind a shut gate nothing moves but the gate"


def test_a_second_block_in_a_decoder_is_refused():
    with pytest.raises(TrunkError, match=r"share its memory of past tokens"):
        apply(network_of("llama"), 1, Insert(module="block"))


@pytest.mark.parametrize(
    "name", ["bert", "gpt2", "llama", "timm vit", "torchvision resnet", "torchvision mobilenet_v2", "torchvision vgg11_bn", "whisper"]
)
def test_what_is_pruned_is_what_was_read_least(name):
    """Channels that nobody reads and nobody makes go first, and then no answer changes."""
    network = network_of(name)
    network.trunk.input = replace(network.trunk.input, size=(32, 32)) if network.trunk.input.kind == "image" else network.trunk.input
    index = network.trunk.stage_names.index("blocks.1")
    size = inner_sizes(network, index, "channels")[0]
    silent = torch.arange(0, size.units, 2)
    with torch.no_grad():
        for path, rows in size.makers.items():
            layer = network.host.get_submodule(path)
            chosen = rows[:, silent].flatten()
            weight = layer.weight.T if hasattr(layer, "nf") else layer.weight
            weight[chosen] = 0.0
            if layer.bias is not None:
                layer.bias[chosen] = 0.0
        reader = network.host.get_submodule(size.reader)
        columns = reader.weight if hasattr(reader, "nf") else reader.weight.transpose(0, 1)
        columns[size.columns[silent].flatten()] = 0.0
    inputs = probe_inputs(network.trunk)
    before, count = answers(network, inputs), parameters(network)
    record = apply(network, index, Prune(amount=0.5 if size.units % 2 == 0 else len(silent) / size.units))
    site = next(site for site in record.sites if site.path == size.reader)
    assert site.width == size.units - len(silent)
    assert parameters(network) < count
    if len(record.sites) == 1:
        assert torch.allclose(before, answers(network, inputs), atol=1e-5)


def test_pruned_heads_leave_attention_of_fewer_heads():
    network = network_of("bert")
    apply(network, 1, Prune(what="heads", amount=0.5))
    attention = network.host.encoder.layer[0].attention
    assert attention.self.num_attention_heads == 2 and attention.self.query.out_features == 16 == attention.output.dense.in_features
    gqa = network_of("llama")
    apply(gqa, 1, Prune(what="heads", amount=0.5))
    layer = gqa.host.layers[0].self_attn
    assert (layer.q_proj.out_features, layer.k_proj.out_features, layer.o_proj.in_features) == (16, 8, 16), "queries go with their key"


@pytest.mark.parametrize("name", ["timm beit", "torchvision vit", "deberta"])
def test_attention_that_keeps_tables_of_its_own_is_not_pruned(name):
    network = network_of(name)
    before = digests(network)
    with pytest.raises(TrunkError, match="no inner heads that can be told apart"):
        apply(network, 1, Prune(what="heads"))
    assert digests(network) == before


def test_noise_tells_the_copies_of_a_widened_layer_apart():
    network = network_of("bert")
    inputs = probe_inputs(network.trunk)
    before = answers(network, inputs)
    apply(network, 1, Widen(factor=2, noise=0.01))
    assert 0 < (answers(network, inputs) - before).abs().max() < 0.1
    assert network.host.encoder.layer[0].intermediate.dense.out_features == 128


def test_deepening_is_refused_where_the_norm_stands_behind_the_sum():
    network = network_of("bert")
    with torch.no_grad():
        network.host.encoder.layer[1].output.LayerNorm.weight.uniform_(0.5, 2.0)
    with pytest.raises(TrunkError, match="it would not keep the function there"):
        apply(network, 2, Deepen())
    assert len(network.host.encoder.layer) == 3


def test_a_new_head_keeps_what_the_linear_layer_learned():
    network = network_of("bert")
    linear = network.head.linear
    record = apply(network, 4, Replace(head="mlp"))
    assert isinstance(network.head, MlpHead) and network.head.linear is linear
    undo(network, record)
    assert type(network.head) is LinearHead


def test_other_norms_take_over_the_scale():
    network = network_of("torchvision resnet")
    with torch.no_grad():
        network.host.layer1[0].bn1.weight.uniform_(0.5, 2.0)
    scale = network.host.layer1[0].bn1.weight.clone()
    apply(network, 1, Replace(norm="group"))
    assert isinstance(network.host.layer1[0].bn1, nn.GroupNorm) and torch.equal(network.host.layer1[0].bn1.weight, scale)


def test_a_copied_block_has_the_weights_of_the_other():
    network = network_of("gpt2")
    apply(network, 1, Replace(block="blocks.2"))
    assert digests(network.host.h[0]) == digests(network.host.h[2])
    assert network.host.h[0].attn.layer_idx == 0
    with pytest.raises(TrunkError, match=r"no stage .blocks\.9."):
        apply(network, 1, Replace(block="blocks.9"))


def test_structure_is_changed_before_anything_stands_in_a_stage():
    network = toy_network()
    record = apply(network, 1, Lora(rank=2))
    with pytest.raises(TrunkError, match="carries an edit already"):
        apply(network, 1, Widen())
    with pytest.raises(TrunkError, match="it is the structure itself"):
        merge(network, apply(network, 2, Insert(module="adapter")))
    undo(network, record)


def test_edits_are_taken_back_in_reverse_order():
    network = toy_network()
    before, modules = digests(network), list(network.modules())
    first, second = apply(network, 2, Drop()), apply(network, 2, Insert(module="block"))
    with pytest.raises(TrunkError, match="undo the later edits first"):
        undo(network, first)
    take_back(network, [first, second])
    assert digests(network) == before
    assert all(a is b for a, b in zip(modules, network.modules(), strict=True))


def test_an_operation_is_done_as_a_whole_or_not_at_all():
    network = toy_network()
    before = digests(network)
    with pytest.raises(TrunkError, match="stem is no entry"):
        operate(network, [Step(Widen(), "all", is_given=False), Step(Drop(), "blocks.0,stem")])
    assert digests(network) == before
    done = operate(network, [Step(Prune(), "all", is_given=False)])
    assert [record.stage for record in done] == ["blocks.0", "blocks.1", "blocks.2"]
    with pytest.raises(TrunkError, match="no stage takes it"):
        operate(network, [Step(Replace(norm="group"), "all", is_given=False)])
    with pytest.raises(TrunkError, match="it has none yet"):
        operate_on_trunk(network.trunk, [Step(Replace(head="mlp"), "head")])


def test_an_error_inside_a_watch_takes_everything_back():
    network = toy_network()
    before = digests(network)
    with pytest.raises(ZeroDivisionError), watched(network):
        network.host.blocks = nn.Sequential()
        network.trunk.pooling = "mean"
        network.note = 1  # type: ignore[assignment]
        raise ZeroDivisionError
    assert digests(network) == before and network.trunk.pooling == "none" and not hasattr(network, "note")


def test_values_leave_a_stage_through_the_module_that_the_next_one_hears():
    trunk = trunk_of("llama")
    assert outlet(trunk, 0).path == "embed_tokens", "the rotary embedding is called later, and is not what flows"
    assert passages(trunk, ["layers.0"])["layers.0"].entered == passages(trunk, ["layers.0"])["layers.0"].left
    trunk.input = replace(trunk.input, kind="tensor")
    with pytest.raises(TrunkError, match="the shape of its input is not known"):
        probe_inputs(trunk)
