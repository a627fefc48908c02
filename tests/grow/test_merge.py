"""Merges as a person asks for them: what comes out, what is recorded, what is refused and with which sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from grow.family import founded, nudged, sibling
from regraft import lineage
from regraft.errors import GateRefused, RequestError
from regraft.grow.merge import merge
from regraft.grow.methods import parse
from regraft.serve import rebuild
from regraft.serve.drift import between
from regraft.surgery.specs import Adapter, Lora
from regraft.tune.difference import difference
from small import model, write_tickets  # noqa: F401


@pytest.fixture(scope="session")
def founding(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("founding")
    store = founded(write_tickets(folder / "tickets.csv"), model, folder / "store")
    for number in (1, 2, 3):
        sibling(store, f"s{number}", nudged(0.01, number))
    return folder / "store"


@pytest.fixture
def store(founding: Path, tmp_path: Path) -> lineage.Store:
    return lineage.Store(shutil.copytree(founding, tmp_path / "store"))


def state(store: lineage.Store, name: str) -> dict[str, torch.Tensor]:
    return rebuild.network(store, name).network.state_dict()


def test_a_uniform_merge_is_the_mean_and_has_all_its_parents(store):
    made = merge(["s1", "s2", "s3"], method="uniform", name="m", store=store.location)
    parents = [state(store, name) for name in ("s1", "s2", "s3")]
    for name, tensor in state(store, "m").items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, torch.stack([one[name].double() for one in parents]).mean(0).float())
    assert made.record.parents == tuple(store.get(name).digest for name in ("s1", "s2", "s3"))
    told = made.document
    assert set(told) >= {
        "generation",
        "name",
        "digest",
        "parent",
        "task",
        "model",
        "strategy",
        "plan",
        "metrics",
        "cost",
        "report",
        "warnings",
    }
    assert told["merge"]["outcome"] in ("win", "tie") and told["merge"]["gate"]["passed"]
    assert set(told["merge"]["against_best"]) == {"valid", "test"}
    assert Path(told["report"]).exists()
    store.verify_lineage("m")
    again = merge(["s1", "s2", "s3"], method="uniform", name="m", store=store.location)
    assert again.digest == made.digest


def test_a_merge_answers_like_any_other_generation(store):
    made = merge(["s1", "s2"], name="m", store=store.location)
    assert made.predict(["where is my parcel"])[0]["label"] in made.classes
    assert made.document["strategy"] == "greedy"
    tried = made.document["merge"]["tried"]
    assert [row["members"] for row in tried[:2]] == [["s1"], ["s2"]] and len(tried) == 3


def test_wise_ft_between_parent_and_child_is_swept_on_valid_or_stands_where_it_is_put(store):
    sibling(store, "child", nudged(0.01, 9), parents=["first"])
    made = merge(["first", "child"], method="wise_ft(alpha=0.25)", name="m", store=store.location)
    one, other, mixed = (state(store, name)["head.linear.weight"] for name in ("first", "child", "m"))
    torch.testing.assert_close(mixed, 0.75 * one + 0.25 * other)
    assert made.document["merge"]["start"] == store.get("first").digest
    swept = merge(["first", "child"], method="wise_ft", name="w", store=store.location).document["merge"]
    assert [row["alpha"] for row in swept["tried"]] == [round(0.1 * step, 1) for step in range(11)]
    assert swept["options"]["alpha"] in [row["alpha"] for row in swept["tried"] if row["value"] == max(r["value"] for r in swept["tried"])]
    with pytest.raises(RequestError, match="3 generations\ntry:   two of them, the parent first"):
        merge(["first", "child", "s1"], method="wise_ft", store=store.location)


def test_task_arithmetic_starts_at_the_pretrained_weights(store):
    merge(["s1", "s2"], method="task_arithmetic(scale=0.5)", name="m", store=store.location, accept_forgetting="to look at it")
    base = store.bases()[store.get("s1").base]
    from regraft.trunk.tensors import read_state

    start = read_state(store.tensor_files(base))
    one, other, mixed = (state(store, name) for name in ("s1", "s2", "m"))
    for name, tensor in start.items():
        if tensor.is_floating_point():
            wanted = tensor.double() + 0.5 * (one[name].double() - tensor.double() + other[name].double() - tensor.double())
            torch.testing.assert_close(mixed[name].double(), wanted, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("method", ["ties(density=0.5, scale=1.0)", "dare(drop=0.5, scale=0.5)"])
def test_the_other_methods_run_the_whole_way(store, method):
    made = merge(["s1", "s2"], method=method, name="m", store=store.location, accept_forgetting="to look at it")
    assert made.record.manifest["strategy"].startswith(parse(method).name)
    assert all(torch.isfinite(tensor).all() for tensor in state(store, "m").values() if tensor.is_floating_point())


def test_heads_are_merged_by_class_name(store):
    classes = store.get("first").manifest["classes"]
    turned = [*classes[1:], classes[0]]

    def turn(network) -> None:
        for parameter in network.head.parameters():
            parameter.copy_(parameter.roll(-1, 0))

    sibling(store, "turned", turn, classes=turned)
    merge(["first", "turned"], method="uniform", name="m", store=store.location)
    assert store.get("m").manifest["classes"] == classes
    torch.testing.assert_close(state(store, "m")["head.linear.weight"], state(store, "first")["head.linear.weight"])


def test_a_harmful_merge_is_refused_and_leaves_the_store_as_it_was(store):
    def spoil(network) -> None:
        for parameter in network.head.parameters():
            parameter.copy_(-40 * parameter)

    sibling(store, "spoilt", spoil)
    before = (store.names(), sorted(store.digests()))
    refused = dict(method="uniform", name="m", store=store.location, data=str(big(store)))
    with pytest.raises(GateRefused, match=r"worse than first alone on valid: .*nothing was stored\ntry:   another --method"):
        merge(["first", "spoilt"], **refused)
    assert (store.names(), sorted(store.digests())) == before
    made = merge(["first", "spoilt"], **refused, accept_forgetting="a test")
    assert made.document["merge"]["gate"] == {"split": "valid", "passed": False, "accepted": "a test"}
    soup = merge(["first", "spoilt"], **{**refused, "method": "greedy"})
    assert [parent["included"] for parent in soup.document["merge"]["parents"]] == [True, False]


def big(store: lineage.Store) -> Path:
    """Valid examples enough for a difference to show: the training examples, by another name."""
    import pandas

    rows = pandas.read_csv(store.get("first").manifest["data"]["reference"])
    path = Path(store.location).parent / "data"
    path.mkdir()
    for split in ("train", "valid", "test"):
        rows.assign(text=rows.text + {"train": "!", "valid": "", "test": "."}[split]).to_csv(path / f"{split}.csv", index=False)
    return path


def wake(network) -> None:
    """LoRA that is not the identity any more."""
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            parameter.add_(0.01)


@pytest.mark.parametrize(("method", "share"), [("uniform", 0.5), ("wise_ft(alpha=0.25)", 0.25)])
def test_lora_stays_lora_where_the_method_is_linear(store, method, share):
    for name, rank in (("l2", 2), ("l3", 3)):
        sibling(store, name, wake, edit=Lora(rank=rank))
    made = merge(["l2", "l3"], method=method, name="m", store=store.location)
    assert [record["edit"]["rank"] for record in made.record.manifest["edits"]] == [5, 5]
    assert made.record.stored_bytes < store.get("first").stored_bytes
    one, other, mixed = (folded(store, name) for name in ("l2", "l3", "m"))
    for name, tensor in mixed.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (1 - share) * one[name] + share * other[name], atol=1e-5, rtol=0)
    query = "host.encoder.layer.0.attention.self.query.base_layer.weight"
    assert store.table(made.record)[query] == store.table(store.get("l2"))[query], "the frozen weights are stored once"


def folded(store: lineage.Store, name: str) -> dict[str, torch.Tensor]:
    from regraft.grow.relatives import open_relative

    return open_relative(store, store.get(name)).rebuilt.network.state_dict()


def test_lora_is_folded_where_it_cannot_stay_and_other_edits_have_to_stand_in_all(store):
    sibling(store, "lora", wake, edit=Lora(rank=2))
    merge(["s1", "lora"], method="uniform", name="m", store=store.location)
    assert store.get("m").manifest["edits"] == [], "s1 has moved the weights that the LoRA stands over"
    merge(["first", "lora"], method="uniform", name="m", store=store.location)
    assert [record["edit"]["rank"] for record in store.get("m").manifest["edits"]] == [2, 2]
    moved = between(store, store.get("first"), store.get("lora"))
    halfway = between(store, store.get("first"), store.get("m"))
    assert moved["blocks.0"] > 0 and halfway["blocks.0"] == pytest.approx(moved["blocks.0"] / 2, rel=1e-3)
    sibling(store, "adapter", lambda network: None, edit=Adapter(width=2))
    with pytest.raises(RequestError, match="they carry different edits that no weight can take up: adapter"):
        merge(["first", "adapter"], store=store.location)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"source": {"kind": "elsewhere"}, "model": "timm:resnet18"}, "the model of first is file:.*, that of odd timm:resnet18\ntry:   only one architecture"),
        ({"task": "text-regression"}, "the task of first is text-classification, that of odd text-regression"),
        ({"base": None}, r"they started from different pretrained weights \(first: [0-9a-f]{12}, odd: none\)"),
        ({"data": {"fingerprint": "0" * 64, "reference": "other.csv"}}, r"they learnt different data \(first: tickets.csv, odd: other.csv\)\ntry:   say what to measure on: --data"),
    ],
)  # fmt: skip
def test_generations_that_do_not_go_together_are_refused(store, facts, told):
    sibling(store, "odd", nudged(0.01, 5), **facts)
    with pytest.raises(RequestError, match=told):
        merge(["first", "odd"], store=store.location)


def test_a_model_from_random_weights_has_nothing_in_common_with_the_others(store):
    plan = store.get("first").manifest["plan"]
    sibling(store, "scratch", nudged(0.01, 5), plan={**plan, "phases": [{**phase, "fresh": True} for phase in plan["phases"]]})
    with pytest.raises(RequestError, match="scratch was trained from random weights"):
        merge(["first", "scratch"], store=store.location)


def test_one_generation_is_no_merge(store):
    with pytest.raises(RequestError, match="found: one generation"):
        merge(["first"], store=store.location)
    with pytest.raises(RequestError, match="found: the same generation twice"):
        merge(["first", "first~0"], store=store.location)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("averaging", "no such way to merge"),
        ("greedi", "did you mean 'greedy'"),
        ("ties(densty=0.2)", "did you mean 'density'"),
        ("ties(density=2)", "density is a number from 1e-06 to 1"),
        ("greedy+ties", "one method"),
        ("dare(0.9)", "its options by name"),
    ],
)
def test_a_method_that_is_none_is_answered_with_what_to_type(text, told):
    with pytest.raises(RequestError, match=told):
        parse(text)


def test_what_is_typed_comes_back(store):
    assert parse("ties").text == "ties(density=0.2)"
    assert parse("ties(density=0.3, scale=1.2)").at(0.4).text == "ties(density=0.3, scale=0.4)"
    assert parse(parse("dare").at(0.5).text).options == {"drop": 0.9, "scale": 0.5, "seed": 0}


def test_a_difference_names_what_changed_and_how_far(store):
    sibling(store, "child", nudged(0.01, 7), parents=["first"])
    found = difference(store, "first", "child")
    assert found["relation"] == "b was made from a"
    assert found["data"]["same"] and found["classes"] == {"added": [], "removed": [], "reordered": False}
    assert found["tensors"]["changed"] > 0 and found["tensors"]["added"] == 0
    assert 0 < found["drift"]["blocks.0"] < 1 and set(found["drift"]) == {"stem", "blocks.0", "blocks.1", "head"}
    assert difference(store, "first", "first")["drift"] == dict.fromkeys(found["drift"], 0.0)
    assert found["verdict"]["verdict"] == "tie" and found["verdict"]["difference"]["n"] == found["metrics"]["test"]["accuracy"]["a"]["n"]
