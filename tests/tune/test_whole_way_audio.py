"""From folders of sounds to a generation and back: learned live and from the cache, predicted, compared, drawn, grown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import regraft as rg

SMALL = "module:regraft.testing.hosts.trunk_of?name=mel_resnet"
OPTIONS = {"model": SMALL, "epochs": 2.0, "lr": 3e-3, "batch_size": 8, "refit": False}


def tones(root: Path, pitches: dict[str, float], count: int = 24) -> Path:
    """Class folders of short tones of different lengths and rates."""
    chance = np.random.default_rng(len(pitches))
    for name, hertz in pitches.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            rate = (8_000, 16_000, 44_100)[i % 3]
            length = np.arange(int(rate * chance.uniform(0.1, 0.3)))
            wave = 0.3 * np.sin(2 * np.pi * hertz * chance.uniform(0.9, 1.1) * length / rate) + 0.01 * chance.standard_normal(len(length))
            soundfile.write(root / name / f"{i}.wav", wave, rate)
    return root


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    tones(folder / "data", {"high": 2_000.0, "low": 300.0})
    return folder


@pytest.fixture(scope="module")
def probe(place):
    return rg.tune(place / "data", store=place / "store", strategy="linear_probe", name="probe", **OPTIONS)


def test_frozen_and_cached_features_tell_tones_apart(probe, place):
    assert probe.metrics["test"]["accuracy"]["value"] > 0.8
    assert probe.record.manifest["task"] == "audio-classification"
    paths = [str(place / "data" / name / "0.wav") for name in ("high", "low")]
    answers = probe.predict(paths)
    assert [answer["input"] for answer in answers] == paths
    assert {answer["label"] for answer in answers} <= {"high", "low"}
    assert probe.predict(paths[:1])[0]["probability"] == pytest.approx(answers[0]["probability"], abs=1e-4), "company changes nothing"


def test_trained_with_every_augmentation_it_is_measured_against_the_probe(probe, place):
    changes = {"shift": 0.1, "noise": 0.2, "spec_augment": 1}
    full = rg.tune(place / "data", store=place / "store", strategy="full", name="full", augment=changes, **OPTIONS)
    found = full.evaluate(str(place / "data"), against=probe)
    assert found["against"]["metric"] == "accuracy"
    assert dict(full.record.manifest["plan"]["settings"]["augment"]).keys() == changes.keys()


def test_upper_blocks_learn_from_the_cache(place):
    top = rg.tune(place / "data", store=place / "store", strategy="freeze(below=blocks.2)", name="top", **OPTIONS)
    assert [(phase["boundary"], bool(phase["cached"])) for phase in top.document["plan"]["phases"]] == [("blocks.2", True)]
    assert top.document["cost"]["cache"]


def test_the_page_plays_the_clips_that_were_called_wrong(place):
    names = dict.fromkeys(("a", "b", "c"), 700.0)  # three names for one pitch
    made = rg.tune(tones(place / "same", names, 12), store=place / "store", strategy="linear_probe", name="same", **OPTIONS)
    page = Path(made.document["report"]).read_text(encoding="utf-8")
    assert page.count("<audio") >= 1
    assert 'src="data:audio/wav;base64,' in page and "controls" in page


def test_a_new_class_is_grown(probe, place):
    more = tones(place / "more", {"middle": 800.0})
    grown = probe.grow(more, accept_forgetting=True)
    assert set(grown.classes) == {"high", "low", "middle"}
