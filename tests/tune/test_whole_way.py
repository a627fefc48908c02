"""From a CSV to a generation and back, on a small model: what ``plan`` and ``tune`` promise."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import regraft as rg
from regraft.errors import DamagedError, PlanError, TrunkError
from regraft.lineage import Store
from small import write_tickets

OPTIONS = {"epochs": 2.0, "lr": 1e-3, "batch_size": 8}


def tuned(data: Path, model: str, store: Path, **options: object) -> rg.Generation:
    return rg.tune(data, model=model, store=store, **{**OPTIONS, **options})


def test_a_plan_is_shown_before_anything_is_stored(data, model, tmp_path):
    plan = rg.plan(data, model=model, store=tmp_path / "store", strategy="top(n=1)", **OPTIONS)
    assert plan.strategy == "top(n=1)" and plan.settings.epochs == 2
    assert [cell.trainable for cell in plan.phases[0].cells] == [False, False, True, True]
    assert plan.cost["time_s"] > 0 and plan.data["splits"]["train"] > 30
    assert not (tmp_path / "store" / "generations").exists()


def test_a_plan_can_be_carried_out_later(data, model, tmp_path):
    plan = rg.plan(data, model=model, store=tmp_path / "store", strategy=rg.top(n=1), **OPTIONS)
    generation = rg.tune(plan, store=tmp_path / "store", name="later")
    assert generation.record.manifest["strategy"] == "top(n=1)"
    assert generation.name == "later"


def test_the_same_plan_data_and_seed_give_the_same_digest(data, model, tmp_path):
    first = tuned(data, model, tmp_path / "a", strategy="lp_ft")
    second = tuned(data, model, tmp_path / "b", strategy="lp_ft")
    other = tuned(data, model, tmp_path / "c", strategy="lp_ft", seed=1)
    assert first.digest == second.digest != other.digest


def test_a_generation_opened_again_predicts_what_it_measured(data, model, tmp_path):
    made = tuned(data, model, tmp_path / "store", strategy="full", name="mine")
    again = rg.open("mine", store=tmp_path / "store")
    found = again.evaluate(str(data))
    texts = [line.split(",")[0] for line in data.read_text(encoding="utf-8").splitlines()[1:4]]
    predictions = again.predict(texts)
    assert again.digest == made.digest
    assert {p["label"] for p in predictions} <= set(made.classes)
    assert found["num_examples"] == 60
    assert "were trained on" in found["warnings"][0]


def test_what_is_frozen_is_stored_once(data, model, tmp_path):
    full = tuned(data, model, tmp_path / "store", strategy="full", name="full")
    head = tuned(data, model, tmp_path / "store", strategy="linear_probe", name="head")
    assert head.record.stored_bytes < full.record.stored_bytes / 5


@pytest.mark.parametrize("strategy", ["lora(rank=2)", "adapter(width=4)", "gradual_unfreezing+discriminative_lr(decay=0.5)", "scratch"])
def test_every_kind_of_strategy_survives_storage(data, model, tmp_path, strategy):
    made = tuned(data, model, tmp_path / "store", strategy=strategy)
    scores = made.predictor.answers(["where is my parcel", "refund please"])
    again = rg.open(made.digest, store=tmp_path / "store").predictor.answers(["where is my parcel", "refund please"])
    assert np.array_equal(scores, again)


def test_a_finished_run_is_not_run_again(data, model, tmp_path):
    first = tuned(data, model, tmp_path / "store", strategy="top(n=1)")
    log = Store(tmp_path / "store").log()
    second = tuned(data, model, tmp_path / "store", strategy="top(n=1)", resume=True)
    assert second.digest == first.digest and Store(tmp_path / "store").log() == log


def test_against_compares_on_the_same_examples(data, model, tmp_path):
    a = tuned(data, model, tmp_path / "store", strategy="linear_probe", name="a")
    verdict = a.evaluate(str(data), against=a)["against"]
    assert verdict["verdict"] == "tie" and verdict["difference"]["value"] == 0


def test_rows_that_cannot_be_measured_are_refused_or_listed(data, model, tmp_path):
    made = tuned(data, model, tmp_path / "store", strategy="linear_probe")
    odd = tmp_path / "odd.csv"
    rows = [line.rsplit(",", 1) for line in data.read_text(encoding="utf-8").splitlines()[1:21]]
    odd.write_text("said,kind\n" + "".join(f"{text},{label}\n" for text, label in rows) + "a wholly new thing,unheard\n", encoding="utf-8")
    columns = {"input": "said", "target": "kind"}
    with pytest.raises(rg.RegraftError, match=r"'unheard' \(1 in test\)(.|\n)*--allow-rejected"):
        made.evaluate(odd, **columns)
    found = made.evaluate(odd, allow_rejected=True, **columns)
    assert found["num_examples"] == 20
    assert [item["reason"] for item in found["rejected"]] == ["label 'unheard' is not known to the model"]
    assert any("1 rows or files could not be used" in warning for warning in found["warnings"])


def test_the_report_says_what_the_generation_measured(data, model, tmp_path):
    made = tuned(data, model, tmp_path / "store", strategy="linear_probe", command="regraft tune tickets.csv")
    page = made.report()
    document = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert document["metrics"]["test"] == made.metrics["test"]
    assert "regraft tune tickets.csv" in page.read_text(encoding="utf-8")
    assert page.stat().st_size < 1_000_000


def test_data_that_changed_under_a_plan_is_refused(data, model, tmp_path):
    plan = rg.plan(data, model=model, store=tmp_path / "store", strategy="full")
    write_tickets(data, per_class=10)
    with pytest.raises(rg.RegraftError, match="the data has changed since the plan was made"):
        rg.tune(plan, store=tmp_path / "store")


def test_an_unknown_stage_names_those_that_are_there(data, model, tmp_path):
    with pytest.raises(TrunkError, match=r"the stages are stem, blocks\.0, blocks\.1"):
        rg.plan(data, model=model, store=tmp_path / "store", strategy="freeze(below=blocks.7)")


def test_an_unknown_setting_is_spelled_right(data, model, tmp_path):
    with pytest.raises(PlanError, match="did you mean 'weight_decay'"):
        rg.plan(data, model=model, store=tmp_path / "store", strategy="full", wieght_decay=0.1)


def test_a_store_damaged_by_hand_is_never_served(data, model, tmp_path):
    made = tuned(data, model, tmp_path / "store", strategy="full")
    largest = max((tmp_path / "store" / "objects").glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
    content = bytearray(largest.read_bytes())
    content[-8] ^= 1
    largest.chmod(0o644)
    largest.write_bytes(content)
    with pytest.raises(DamagedError):
        rg.open(made.digest, store=tmp_path / "store").predict(["where is my parcel"])


def _tune_in_another_process(data: str, model: str, store: str, seed: int) -> None:
    tuned(Path(data), model, Path(store), strategy="top(n=1)", seed=seed, name=f"seed{seed}")


def test_two_processes_tune_into_one_store(data, model, tmp_path):
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_tune_in_another_process, args=(str(data), model, str(tmp_path / "store"), seed)) for seed in (1, 2)]
    for process in both:
        process.start()
    for process in both:
        process.join(240)
        assert process.exitcode == 0
    store = Store(tmp_path / "store")
    assert {row["name"] for row in store.log()} == {"seed1", "seed2"}
    for name in store.names():
        store.verify(store.get(name))


def test_scratch_needs_no_weights_of_a_model_that_is_not_here(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "tiles"
    for i, (label, colour) in enumerate((label, colour) for label in ("dark", "light") for colour in range(8)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (colour, i, 200 * (label == "light"))).save(folder / label / f"{colour}.png")
    with pytest.raises(TrunkError, match="it is not on this machine"):
        rg.plan(folder, model="timm:test_resnet.r160_in1k", input_size=32, store=tmp_path / "store")
    plan = rg.plan(folder, model="timm:test_resnet.r160_in1k", strategy="scratch", input_size=32, store=tmp_path / "store")
    assert plan.phases[0].fresh


def test_a_second_head_on_a_frozen_trunk_reads_every_split_from_the_cache(data, model, tmp_path, monkeypatch):
    first = tuned(data, model, tmp_path / "store", strategy="linear_probe", name="first")
    live = rg.open("first", store=tmp_path / "store").evaluate(str(data))["metrics"]["accuracy"]["value"]
    assert live == pytest.approx(first.evaluate(str(data))["metrics"]["accuracy"]["value"])
    monkeypatch.setattr("regraft.cache.pooled._computed", lambda *args: pytest.fail("a split was read through the trunk again"))
    second = tuned(data, model, tmp_path / "store", strategy="linear_probe", name="second")
    assert second.metrics == first.metrics
    assert second.document["cost"]["train_s"] != first.document["cost"]["train_s"], "each run tells its own cost"
