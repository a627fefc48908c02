"""Laws of edits, over every kind and several families."""

from __future__ import annotations

import copy
import io
import json

import pytest
import torch
from surgery_hosts import HOSTS, network
from torch import nn

from regraft.errors import RequestError, TrunkError
from regraft.surgery.edits import EditRecord, apply, merge, rebuild, undo
from regraft.surgery.specs import Adapter, Lora, edit_from_json, edit_json
from regraft.trunk.trunk import check_cover

LORAS = [Lora(rank=2, variant=variant, alpha=4.0) for variant in ("plain", "rslora", "dora", "pissa", "ia3")]  # type: ignore[arg-type]
ADAPTERS = [Adapter(width=4), Adapter(width=4, placement="houlsby")]
EDITS = [*LORAS, *ADAPTERS]
LABELS = [edit.label for edit in EDITS]
STAGE = {name: 2 if name == "resnet" else 1 for name in HOSTS}
EXACT = {"lora r2", "rslora r2", "ia3", "adapter w4 pfeiffer", "adapter w4 houlsby"}

ALL_HOSTS = tuple(sorted(HOSTS))
every_edit = pytest.mark.parametrize("edit", EDITS, ids=LABELS)


def pairs(edits, hosts=ALL_HOSTS):
    """Every edit over every host, but for PiSSA over convolutions, which peft does not have."""
    return pytest.mark.parametrize(
        ("name", "edit"), [(name, edit) for name in hosts for edit in edits if (name, edit.label) != ("resnet", "pissa r2")], ids=repr
    )


def shake(net, record: EditRecord) -> None:
    """Move the edit's parameters away from where they start."""
    torch.manual_seed(1)
    parameters = dict(net.named_parameters())
    with torch.no_grad():
        for name in record.parameters:
            parameters[name].add_(torch.randn_like(parameters[name]) * 0.1)


def state(net) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pairs(EDITS)
def test_a_fresh_edit_is_the_identity(name, edit):
    net, inputs = network(name)
    before = net(inputs)
    apply(net, STAGE[name], edit)
    if edit.label in EXACT:
        assert torch.equal(net(inputs), before)
    else:
        torch.testing.assert_close(net(inputs), before, rtol=1e-5, atol=1e-5)


@pairs(EDITS)
def test_undo_restores_modules_and_bytes(name, edit):
    net, inputs = network(name)
    before, modules, logits = state(net), dict(net.named_modules()), net(inputs)
    flags = [p.requires_grad for p in net.parameters()]
    record = apply(net, STAGE[name], edit)
    shake(net, record)
    assert not torch.equal(net(inputs), logits)
    undo(net, record)
    assert same(state(net), before)
    assert all(a is b for a, b in zip(net.modules(), modules.values(), strict=True))
    assert [p.requires_grad for p in net.parameters()] == flags
    assert torch.equal(net(inputs), logits)


@pairs(LORAS)
def test_merged_equals_unmerged(name, edit):
    net, inputs = network(name)
    plain = list(net.state_dict())
    record = apply(net, STAGE[name], edit)
    shake(net, record)
    before = net(inputs)
    merge(net, record)
    assert list(net.state_dict()) == plain
    torch.testing.assert_close(net(inputs), before, rtol=1e-5, atol=1e-5)


@pairs(EDITS, ("bert", "fused_vit", "mlp", "resnet"))
def test_what_the_edit_stands_over_keeps_its_bytes(name, edit):
    net, _ = network(name)
    before = {id(p): p.detach().clone() for p in net.parameters()}
    record = apply(net, STAGE[name], edit)
    after = dict(net.named_parameters())
    assert {n for n, p in after.items() if id(p) not in before} == set(record.parameters)
    assert all(torch.equal(p, before[id(p)]) for p in after.values() if id(p) in before)
    assert all(after[n].requires_grad for n in record.parameters)


@pairs(EDITS, ("bert", "fused_vit", "mlp", "resnet"))
def test_stages_still_cover_and_own_the_edit(name, edit):
    net, _ = network(name)
    record = apply(net, STAGE[name], edit)
    check_cover(net.trunk)
    assert set(record.parameters) <= {n for n, _ in net.stage_parameters(STAGE[name])}


@pairs(EDITS)
def test_gradient_reaches_the_edit(name, edit):
    net, inputs = network(name)
    record = apply(net, STAGE[name], edit)
    shake(net, record)
    net(inputs).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in net.named_parameters() if n in record.parameters)


@pairs(EDITS, ("bert", "fused_vit", "mlp", "resnet"))
def test_rebuilt_and_loaded_predicts_the_same(name, edit):
    net, inputs = network(name)
    record = apply(net, STAGE[name], edit)
    shake(net, record)
    other, _ = network(name)
    rebuild(other, [EditRecord.from_json(json.loads(json.dumps(record.json())))])
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(inputs), net(inputs))
    undo(other, record)
    undo(net, record)
    assert same(state(other), state(net))


@pairs(EDITS, ("bert", "mlp", "resnet"))
def test_copies_and_pickles(name, edit):
    net, inputs = network(name)
    record = apply(net, STAGE[name], edit)
    shake(net, record)
    stored = io.BytesIO()
    torch.save(copy.deepcopy(net), stored)
    stored.seek(0)
    assert torch.equal(torch.load(stored, weights_only=False)(inputs), net(inputs))


@pairs(EDITS, ("bert", "resnet"))
def test_several_stages_each_with_its_own(name, edit):
    net, inputs = network(name)
    before = state(net)
    records = [apply(net, 1, edit), apply(net, 2, Lora(rank=3))]
    for record in records:
        shake(net, record)
    moved = net(inputs)
    undo(net, records[0])
    assert not torch.equal(net(inputs), moved)
    undo(net, records[1])
    assert same(state(net), before)


def test_ranks_differ_by_stage():
    net, _ = network("bert")
    two, four = apply(net, 1, Lora(rank=2)), apply(net, 2, Lora(rank=4))
    sizes = {n: p.shape for n, p in net.named_parameters()}
    assert {sizes[n][0] for n in two.parameters if "lora_A" in n} == {2}
    assert {sizes[n][0] for n in four.parameters if "lora_A" in n} == {4}


@every_edit
def test_the_specs_count_what_is_added(edit):
    from regraft.trunk.layers import linear_layers

    net, _ = network("bert")
    layers = linear_layers(net.host, net.trunk.stages)[1]
    record = apply(net, 1, edit)
    parameters = dict(net.named_parameters())
    assert sum(parameters[n].numel() for n in record.parameters) == edit.added_parameters(layers)


def test_where_chooses_the_layers():
    net, _ = network("bert")
    record = apply(net, 1, Lora(rank=2, where="query,value"))
    assert [site.path.rsplit(".", 1)[-1] for site in record.sites] == ["query", "value"]


def test_houlsby_has_two_sites_and_pfeiffer_one():
    ends = {}
    for placement in ("houlsby", "pfeiffer"):
        net, _ = network("bert")
        ends[placement] = [site.path for site in apply(net, 1, Adapter(width=4, placement=placement)).sites]  # type: ignore[arg-type]
    assert ends["houlsby"] == ["encoder.layer.0.attention.output.dense", "encoder.layer.0.output.dense"]
    assert ends["pfeiffer"] == ["encoder.layer.0.output.dense"]


def test_a_convolutional_stage_gets_one_convolution_behind_its_last_block():
    net, _ = network("resnet")
    (site,) = apply(net, 2, Adapter(width=4)).sites
    assert (site.path, site.width, site.form) == ("layer2.0", 128, "map")
    assert isinstance(net.host.layer2, nn.Sequential)


def test_the_modes_of_the_host_are_left_alone():
    net, _ = network("resnet")
    net.train()
    net.host.layer1.eval()
    before = {n: b.clone() for n, b in net.named_buffers()}
    modes = {n: m.training for n, m in net.named_modules()}
    record = apply(net, 2, Adapter(width=4))
    assert all(net.get_submodule(n).training == mode for n, mode in modes.items() if "layer2.0" not in n)
    assert net.host.layer2[0].training
    undo(net, record)
    assert all(torch.equal(b, before[n]) for n, b in net.named_buffers())


def test_the_hosts_own_forward_goes_on():
    net, inputs = network("bert")
    record = apply(net, 1, Lora(rank=2))
    shake(net, record)
    assert torch.equal(net.host(**inputs).last_hidden_state, net.trunk.features(inputs))


def test_half_precision_hosts_take_edits():
    for edit in EDITS:
        net, inputs = network("bert")
        net = net.to(torch.bfloat16)
        before = net(inputs)
        apply(net, 1, edit)
        torch.testing.assert_close(net(inputs), before, rtol=0.1, atol=0.05)


def test_factors_follow_the_seed():
    factors = []
    for seed in (0, 0, 1):
        net, _ = network("mlp")
        torch.manual_seed(seed)
        record = apply(net, 1, Lora(rank=2))
        factors.append(net.get_parameter(record.parameters[0]).detach().clone())
    assert torch.equal(factors[0], factors[1])
    assert not torch.equal(factors[0], factors[2])


def test_one_edit_a_stage():
    net, _ = network("bert")
    apply(net, 1, Lora(rank=2))
    with pytest.raises(TrunkError, match=r"found: blocks\.0 carries an edit already"):
        apply(net, 1, Adapter(width=4))


def test_the_head_takes_none():
    net, _ = network("mlp")
    with pytest.raises(TrunkError, match=r"edits stand in the trunk's stages, 0 to 2"):
        apply(net, 3, Lora())


def test_a_stage_of_no_layers_is_refused():
    net, _ = network("bert")
    with pytest.raises(TrunkError, match=r"stem has no linear layer and no convolution"):
        apply(net, 0, Lora())
    with pytest.raises(TrunkError, match=r"stem has no attention or MLP output that is known"):
        apply(net, 0, Adapter())


def test_an_empty_where_is_refused_with_a_suggestion():
    net, _ = network("bert")
    with pytest.raises(TrunkError, match=r"did you mean 'query'"):
        apply(net, 1, Lora(where="qeury"))


def test_peft_refusals_leave_the_host_as_it_was():
    net, _ = network("resnet")
    before, modules = state(net), list(net.modules())
    with pytest.raises(TrunkError, match=r"another variant, a smaller rank"):
        apply(net, 2, Lora(rank=2, variant="pissa"))
    assert same(state(net), before)
    assert all(a is b for a, b in zip(net.modules(), modules, strict=True))


def test_an_adapter_cannot_be_merged():
    net, _ = network("mlp")
    record = apply(net, 1, Adapter(width=4))
    with pytest.raises(TrunkError, match=r"it is not linear, so no base weight can take it up"):
        merge(net, record)


def test_an_edit_is_undone_once():
    net, _ = network("mlp")
    record = apply(net, 1, Lora(rank=2))
    undo(net, record)
    with pytest.raises(TrunkError, match=r"no edit stands at 2"):
        undo(net, record)


def test_layers_that_a_fused_parent_reads_are_not_offered():
    from regraft.trunk.layers import linear_layers

    net, _ = network("fused_vit")
    ends = [path.split("encoder_layer_0.")[1] for path, _, _ in linear_layers(net.host, net.trunk.stages)[1]]
    assert ends == ["mlp.0", "mlp.3"]
    assert [s.path.rsplit(".", 1)[-1] for s in apply(net, 1, Adapter(width=4, placement="houlsby")).sites] == ["self_attention", "3"]


@pytest.mark.parametrize(("document", "sentence"), [
    ({"kind": "lora", "rank": 0}, r"rank is 1 or more"),
    ({"kind": "lora", "variant": "dorra"}, r"variant is one of plain, rslora, dora, pissa, ia3"),
    ({"kind": "adapter", "width": 0}, r"width is 1 or more"),
    ({"kind": "adapter", "placement": "top"}, r"placement is one of houlsby, pfeiffer"),
    ({"kind": "lorra"}, r"did you mean 'lora'"),
])  # fmt: skip
def test_specs_refuse_nonsense(document, sentence):
    with pytest.raises(RequestError, match=sentence):
        edit_from_json(document)


@every_edit
def test_specs_survive_json(edit):
    assert edit_from_json(json.loads(json.dumps(edit_json(edit)))) == edit
