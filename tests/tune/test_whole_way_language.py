"""From conversations to a generation and back: learned, measured, asked, exported; preferences learned from where that ended."""

from __future__ import annotations

import json

import pytest

import regraft as rg
from regraft.cli.plan_text import plan_text
from regraft.errors import DataError, PlanError, RequestError
from regraft.serve.export import export
from small_decoder import FORGETFUL, decoder_folder, echoes, wishes, write

OPTIONS = {"epochs": 3.0, "lr": 1e-2, "batch_size": 8, "refit": False, "strategy": "lora(rank=4)", "packing": True}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language")
    write(folder / "echoes.json", echoes())
    write(folder / "wishes.json", wishes())
    decoder_folder(folder / "decoder", tied=False)
    return folder


@pytest.fixture(scope="module")
def tuned(place):
    return rg.tune(place / "echoes.json", store=place / "store", model=f"file:{place / 'decoder'}", name="echoes", **OPTIONS)


def test_it_learns_to_answer(tuned, place):
    before = rg.plan(place / "echoes.json", store=place / "store", model=f"file:{place / 'decoder'}", **OPTIONS)
    assert before.data["template"].startswith("the plain template")
    assert "".join(text for text, learned in before.data["example"] if learned).endswith("<eos>")
    found = tuned.metrics["test"]["perplexity"]
    assert found["low"] <= found["value"] <= found["high"] < 250  # a guess among 258 bytes
    assert tuned.record.manifest["cost"]["trainable_parameters"] < 10_000
    assert set(tuned.metrics["test"]) == {"perplexity"}


def test_it_answers_in_its_own_words(tuned):
    (found,) = tuned.predict(["Say banana."])
    assert found["input"] == "Say banana."
    assert isinstance(found["answer"], str)
    assert tuned.predict([[("user", "Say banana.")]]) == [found]


def test_it_is_measured_again_as_it_was(tuned, place):
    document = tuned.evaluate(place / "echoes.json", against=tuned)
    assert document["against"]["verdict"] == "tie"
    assert document["num_examples"] == 40
    assert "were trained on" in document["warnings"][0]


def test_the_report_shows_what_it_answered(tuned):
    page = tuned.report().read_text()
    assert "What it answers" in page
    assert "before" in page


def test_the_plan_shows_what_is_learned(place):
    made = rg.plan(place / "echoes.json", store=place / "store", model=f"file:{place / 'decoder'}")
    text = plan_text(made)
    assert "what stands in ⟦ ⟧ is learned" in text
    assert "  | ⟦" in text
    assert "!<eos>⟧" in text


def test_transformers_reads_what_is_exported(tuned, place):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    document = export(tuned.store, tuned.digest, "hf", place / "hf")
    assert document["verified"]["largest_difference"] < 1e-4
    assert "AutoModelForCausalLM" in document["load"]
    assert AutoTokenizer.from_pretrained(place / "hf").eos_token == "<eos>"
    assert AutoModelForCausalLM.from_pretrained(place / "hf").lm_head.weight.shape == (258, 32)


def test_the_adapter_alone_is_exported_for_peft(tuned, place):
    document = export(tuned.store, tuned.digest, "peft", place / "peft")
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(document["files"])
    assert "head.safetensors" not in document["files"]
    assert json.loads((place / "peft" / "adapter_config.json").read_text())["task_type"] == "CAUSAL_LM"


def test_the_embedding_learns_beside_lora_and_goes_along(place):
    decoder_folder(place / "tied", tied=True)
    options = {**OPTIONS, "epochs": 1.0, "strategy": "lora(rank=4, stem=True)"}
    made = rg.tune(place / "echoes.json", store=place / "store", model=f"file:{place / 'tied'}", name="beside", **options)
    assert made.record.manifest["drift"]["stem"] > 0
    assert export(made.store, made.digest, "hf", place / "whole")["verified"]["largest_difference"] < 1e-4
    with pytest.raises(RequestError, match=r"numbers of the pretrained model itself have moved: host\..*embed"):
        export(made.store, made.digest, "peft", place / "adapter")


def test_preferences_are_learned_from_where_that_ended(tuned, place):
    export(tuned.store, tuned.digest, "hf", place / "start")
    options = {**OPTIONS, "packing": False, "epochs": 2.0}
    made = rg.tune(place / "wishes.json", store=place / "store", model=f"file:{place / 'start'}", name="polite", **options)
    assert "dpo" in json.dumps(made.record.manifest["plan"])
    assert set(made.metrics["test"]) == {"preference_accuracy", "perplexity"}
    again = made.evaluate(place / "wishes.json")
    assert again["metrics"]["preference_accuracy"]["value"] > 0.8
    assert made.predict(["May I have cake?"])[0]["answer"] is not None


def test_preferences_over_a_model_with_surgery_are_measured_from_its_start(place):
    options = {**OPTIONS, "packing": False, "epochs": 1.0}
    model = f"file:{place / 'decoder'}+drop(blocks.1)"
    made = rg.tune(place / "wishes.json", store=place / "store", model=model, name="shorter", **options)
    again = made.evaluate(place / "wishes.json")
    assert again["metrics"]["preference_accuracy"]["value"] > 0.5


def test_a_template_without_answers_is_refused(tmp_path):
    folder = decoder_folder(tmp_path / "decoder", template=FORGETFUL)
    with pytest.raises(DataError, match="the mask is empty by the tokenizer's own chat template"):
        rg.plan(write(tmp_path / "echoes.json", echoes(10)), store=tmp_path / "store", model=f"file:{folder}")


def test_packing_is_for_conversations(place):
    with pytest.raises(PlanError, match="packing with the task preference"):
        rg.plan(place / "wishes.json", store=place / "store", model=f"file:{place / 'decoder'}", packing=True)
