"""Word vectors from a file to a generation: what the plan says of them, and that what was learned is served as it was measured."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import regraft as rg
from made_vectors import glove
from regraft.errors import RequestError
from small import tickets, write_tickets

SMALL = "width=12&unknown=16&dropout=0.1"
TEXTS = ["where is my parcel", "refund please, zyx!"]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> str:
    words = sorted({word for text, _ in tickets() for word in text.lower().split() if word.isalpha()})
    return f"vectors:{glove(tmp_path_factory.mktemp('vectors') / 'glove.txt', words[::2])}?{SMALL}"


def test_the_plan_says_what_has_no_vector_and_what_is_random(tmp_path, vectors):
    plan = rg.plan(write_tickets(tmp_path / "t.csv"), model=vectors, store=tmp_path / "store")
    said = " ".join((*plan.reasons, *plan.warnings))
    assert "words of train are unknown to the model" in said and "most often" in said
    assert plan.strategy == "gradual_unfreezing" and plan.settings.lr == 3e-3
    assert [[cell.trainable for cell in phase.cells] for phase in plan.phases] == [[False, True, True, True], [True] * 4]


def test_a_probe_on_random_layers_is_warned_of(tmp_path, vectors):
    data = write_tickets(tmp_path / "t.csv")
    probe = rg.plan(data, model=vectors, store=tmp_path / "store", strategy="linear_probe")
    assert "recurrent.0, attention start from random weights and never learn" in probe.warnings[0]
    tuned = rg.plan(data, model=vectors, store=tmp_path / "store", strategy="lp_ft")
    assert "solves a head on random features" in tuned.warnings[0]
    frozen = rg.plan(data, model=vectors, store=tmp_path / "store", strategy="freeze(below=recurrent)")
    assert not any("random" in warning for warning in frozen.warnings)


@pytest.mark.parametrize("strategy", ["gradual_unfreezing", "freeze(below=recurrent)", "freeze(below=recurrent)+lora(rank=2)"])
def test_a_generation_over_word_vectors_answers_the_same_in_a_fresh_process(tmp_path, vectors, strategy):
    store, data = tmp_path / "store", write_tickets(tmp_path / "t.csv")
    made = rg.tune(data, model=vectors, store=store, strategy=strategy, name="words", epochs=3.0, batch_size=8)
    here = made.predictor.answers(TEXTS)
    script = (
        "import sys, numpy as np; from regraft.lineage import Store; from regraft.serve import Predictor\n"
        f"np.save(sys.argv[1], Predictor.load(Store({str(store)!r}), 'words').answers({TEXTS!r}))\n"
        "assert not {name for name in sys.modules if name.startswith(('regraft.train', 'regraft.plan.strategies'))}"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "there.npy"], check=True)
    assert np.array_equal(here, np.load(tmp_path / "there.npy"))
    assert "accuracy" in made.evaluate(str(data))["metrics"]


def test_frozen_vectors_are_read_from_the_cache_with_the_same_result(tmp_path, vectors):
    data = write_tickets(tmp_path / "t.csv")
    digests = {
        cache: rg.tune(data, model=vectors, store=tmp_path / str(cache), strategy="freeze(below=attention)", epochs=2.0, cache=cache, dropout=0.0)
        .predictor.answers(TEXTS)
        for cache in (True, False)
    }  # fmt: skip
    np.testing.assert_allclose(digests[True], digests[False], atol=1e-5)


def test_a_child_of_word_vectors_learns_a_new_class_without_being_called_random(tmp_path, vectors):
    store = tmp_path / "store"
    parent = rg.tune(write_tickets(tmp_path / "a.csv"), model=vectors, store=store, name="words", epochs=3.0, batch_size=8)
    more = write_tickets(tmp_path / "b.csv", classes=4)
    child = parent.grow(more, accept_forgetting=True)
    assert len(child.classes) == 4
    assert not any("random weights" in warning for warning in child.document.get("warnings", []))


def test_words_are_tagged_with_a_vector_for_each(tmp_path, vectors):
    path = tmp_path / "ner.tsv"
    sentence = "Anna B-PER\nlives O\nin O\nRome B-LOC\n\n".replace(" ", "\t")
    path.write_text(sentence * 40, encoding="utf-8")
    made = rg.tune(path, model=f"{vectors}&attention=no", store=tmp_path / "store", epochs=2.0, batch_size=8, allow_rejected=True)
    assert made.predict([["Anna", "lives", "in", "Rome"]])[0]["tags"]


def pairs_of(path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sentence1", "sentence2", "label"])
        texts = [text for text, _ in tickets()][:40]
        writer.writerows(
            (one, other, "same" if one == other else "other") for one, other in zip(texts, texts[:20] + texts[:20], strict=True)
        )
    return path


def test_pairs_of_texts_are_read_with_a_sign_between(tmp_path, vectors):
    made = rg.tune(pairs_of(tmp_path / "pairs.csv"), model=vectors, store=tmp_path / "store", epochs=1.0, batch_size=8)
    assert made.predict([("a refund", "a parcel")])[0]["label"] in ("same", "other")


def test_the_data_doctor_tells_what_a_model_cannot_read(tmp_path, vectors):
    document = rg.check(write_tickets(tmp_path / "t.csv"), model=vectors)
    found = next(problem for problem in document["problems"] if problem["kind"] == "unknown_words")
    assert found["severity"] == "warning" and found["count"] > 30 and "most often" in found["advice"]


def test_the_data_doctor_reads_no_images_with_a_text_model(tmp_path, vectors):
    from PIL import Image

    for label in ("a", "b"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for shade in range(4):
            Image.new("RGB", (8, 8), (40 * shade, 10, 10)).save(tmp_path / "images" / label / f"{shade}.png")
    with pytest.raises(RequestError, match="the data is image"):
        rg.check(tmp_path / "images", model=vectors)
