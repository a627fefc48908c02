"""Sounds as samples: the model's rate, one channel, padding behind a mask, and errors that name the file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sounds import RATE, clip, folders, tone

from regraft.data import load
from regraft.data.augment import Augmentation
from regraft.data.dataset import unlabelled
from regraft.data.encode import encode, prepare
from regraft.data.sound import GRAIN
from regraft.errors import DataError, RequestError
from regraft.spec import FORMS, InputSpec

SPEC = InputSpec(kind="audio", sample_rate=RATE)


def encoded(*paths, spec=SPEC, **options):
    return encode(unlabelled([str(path) for path in paths], FORMS["audio-classification"], 2), spec, **options)


def test_a_batch_is_padded_behind_its_mask(tmp_path):
    waves = [tone(0.1), tone(0.25, seed=1)]
    made = encoded(*(clip(tmp_path / f"{i}.wav", wave) for i, wave in enumerate(waves)))
    batch = made.batch([0, 1])
    assert batch["attention_mask"].sum(1).tolist() == [1_600, 4_000]
    assert batch["input_values"].shape == (2, -(-4_000 // GRAIN) * GRAIN)
    for row, wave in enumerate(waves):
        assert np.allclose(batch["input_values"][row, : len(wave)], wave, atol=1e-4)
        assert not batch["input_values"][row, len(wave) :].any()
    assert made.batch([0])["input_values"].shape == (1, 1_920)
    assert made.batch([0], width=3_200)["input_values"].shape == (1, 3_200)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 96_000])
def test_any_rate_is_resampled(tmp_path, rate):
    made = encoded(clip(tmp_path / "a.wav", tone(0.5, hertz=500.0, rate=rate), rate)).batch([0])
    held = int(made["attention_mask"].sum())
    assert abs(held - 8_000) <= 1
    middle = made["input_values"][0, 1_000:7_000].numpy()
    assert np.abs(np.fft.rfft(middle)).argmax() == round(500 * 6_000 / RATE)
    assert middle.std() == pytest.approx(0.4 / 2**0.5, rel=0.03)


def test_stereo_becomes_the_mean_of_its_channels(tmp_path):
    wave = tone(channels=2)
    made = encoded(clip(tmp_path / "a.wav", wave)).batch([0])["input_values"][0]
    assert np.allclose(made[: len(wave)], wave.mean(axis=1), atol=1e-4)


def test_a_long_clip_keeps_its_beginning(tmp_path):
    paths = clip(tmp_path / "a.wav", tone(0.5)), clip(tmp_path / "b.wav", tone(0.1))
    made = encoded(*paths, max_length=4_000)
    assert (made.truncated, made.batch([0, 1])["attention_mask"].sum(1).tolist()) == (1, [4_000, 1_600])
    assert made.preprocessing != encoded(*paths).preprocessing
    with pytest.raises(RequestError, match=r"max_length=9000\nfound: this model hears 8,000 samples at most"):
        encoded(*paths, spec=InputSpec(kind="audio", sample_rate=RATE, max_length=8_000), max_length=9_000)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    with pytest.raises(DataError, match=r"asked: read the sound .*bad\.wav\nfound: .+\ntry:   `regraft check` lists every broken file"):
        encoded(tmp_path / "bad.wav")
    with pytest.raises(RequestError, match="the model states no sample rate"):
        encoded(tmp_path / "bad.wav", spec=InputSpec(kind="audio"))


def test_a_file_that_breaks_off_is_named_when_it_is_decoded(tmp_path):
    path = clip(tmp_path / "half.flac", tone(1.0))
    path.write_bytes(path.read_bytes()[:9_000])
    made = encoded(path)
    with pytest.raises(DataError, match=r"read the sound .*half\.flac"):
        made.batch([0])


def test_samples_on_disk_are_those_in_memory(tmp_path):
    found = load(folders(tmp_path / "data"))
    here, there = (encode(found.splits["train"], SPEC, memory_bytes=size, folder=tmp_path) for size in (1 << 30, 0))
    rows = np.arange(len(here))
    assert torch.equal(here.batch(rows)["input_values"], there.batch(rows)["input_values"])
    assert here.fingerprint == there.fingerprint


def test_unit_variance_is_that_of_each_clip_alone(tmp_path):
    made = encoded(clip(tmp_path / "a.wav", tone(0.1) + 0.2), clip(tmp_path / "b.wav", 0.1 * tone(0.3))).batch([0, 1])
    ready = prepare(made, InputSpec(kind="audio", sample_rate=RATE, unit_variance=True))["input_values"]
    for row, held in enumerate(made["attention_mask"].sum(1).tolist()):
        assert ready[row, :held].mean().item() == pytest.approx(0.0, abs=1e-5)
        assert ready[row, :held].std().item() == pytest.approx(1.0, abs=1e-2)
        assert not ready[row, held:].any()


@pytest.mark.parametrize("name", ["shift", "noise", "spec_augment"])
def test_an_augmentation_changes_the_clip_and_nothing_behind_it(tmp_path, name):
    made = encoded(clip(tmp_path / "a.wav", tone(0.2)), clip(tmp_path / "b.wav", tone(0.4))).batch([0, 1])
    change = Augmentation.of({name: True}, "audio")
    once, again, other = (change.apply(made, torch.Generator().manual_seed(seed))["input_values"] for seed in (0, 0, 1))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert (once != made["input_values"]).any(1).all()
    assert not once[made["attention_mask"] == 0].any()
    assert torch.equal(change.apply(made, torch.Generator())["attention_mask"], made["attention_mask"])


def test_spec_augment_leaves_bands_and_spans_out(tmp_path):
    noise = np.random.default_rng(0).standard_normal(16_000) * 0.1
    made = encoded(clip(tmp_path / "a.wav", noise)).batch([0])
    changed = Augmentation.of({"spec_augment": 3}, "audio").apply(made, torch.Generator().manual_seed(3))["input_values"][0]
    silent = (changed[:15_900].unfold(0, 100, 100).abs().amax(1) == 0).sum().item()
    assert silent >= 2
    power = torch.fft.rfft(changed).abs()
    assert (power.unfold(0, 20, 5).amax(1) < 0.3 * power.mean()).any()


def test_an_augmentation_of_images_is_refused_for_sounds():
    with pytest.raises(RequestError, match="flip changes image inputs only"):
        Augmentation.of({"flip": True}, "audio")
