"""From sounds and transcripts to a generation and back: learned, from the cache too, measured against another, predicted in a fresh process, drawn."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import regraft as rg
from regraft.errors import DataError, PlanError, RequestError

SMALL = "module:regraft.testing.hosts.trunk_of?name=mel_resnet"
OPTIONS = {"model": SMALL, "epochs": 4.0, "lr": 5e-3, "batch_size": 8, "refit": False, "seed": 0}
SHORT = {"epochs": 2.0, "lr": 1e-3, "batch_size": 6, "refit": False}
PITCH = {"a": 500.0, "b": 1_500.0, " ": 0.0}
RATE, LETTER_S = 8_000, 0.12


def spoken(text: str, chance: np.random.Generator) -> np.ndarray:
    """A tone for each letter, silence for a space."""
    length = np.arange(int(RATE * LETTER_S))
    tones = [0.4 * np.sin(2 * np.pi * PITCH[letter] * chance.uniform(0.95, 1.05) * length / RATE) for letter in text]
    return np.concatenate(tones) + 0.01 * chance.standard_normal(len(length) * len(text))


def written(root: Path, count: int, *, extra: tuple[tuple[str, str], ...] = ()) -> Path:
    """``extra``: (what is said, what is written) of further training clips."""
    chance = np.random.default_rng(0)
    texts = [" ".join("".join(chance.choice(["a", "b"], chance.integers(1, 3))) for _ in range(2)) for _ in range(count)]
    (root / "clips").mkdir(parents=True)
    with (root / "data.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("clip", "transcript", "split"))
        for index, (said, text) in enumerate([*((text, text) for text in texts), *extra]):
            soundfile.write(root / "clips" / f"{index}.wav", spoken(said, chance), RATE)
            rows.writerow((f"{index}.wav", text, ("train", "train", "train", "test", "valid")[index % 5] if index < count else "train"))
    return root / "data.csv"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    written(folder / "data", 60)
    return folder


def tuned(place, **options):
    return rg.tune(place / "data" / "data.csv", store=place / "store", **{**OPTIONS, **options})


@pytest.fixture(scope="module")
def full(place):
    return tuned(place, name="full", strategy="full", model="bundled:audio", epochs=12.0, lr=1e-3, batch_size=6)


def test_tones_are_written_down(full, place):
    assert full.record.manifest["task"] == "speech-recognition"
    assert full.metrics["test"]["cer"]["value"] < 0.3
    assert full.metrics["test"]["wer"]["low"] <= full.metrics["test"]["wer"]["value"] <= full.metrics["test"]["wer"]["high"]
    paths = [str(place / "data" / "clips" / f"{i}.wav") for i in (3, 8)]
    both = full.predict(paths)
    assert [answer["input"] for answer in both] == paths
    assert set(both[0]) == {"input", "text", "probability"} and 0 < both[0]["probability"] <= 1
    alone = full.predict(paths[:1])[0]
    assert alone["text"] == both[0]["text"] and alone["probability"] == pytest.approx(both[0]["probability"], abs=1e-4)


def test_a_fresh_process_that_only_serves_writes_the_same(full, place):
    clip = str(place / "data" / "clips" / "3.wav")
    code = (
        "import sys, json\nfrom regraft.lineage import Store\nfrom regraft.serve import Predictor\n"
        f"print(json.dumps(Predictor.load(Store({str(place / 'store')!r}), 'full').predict([{clip!r}])))\n"
        "assert not any(name.startswith(('regraft.train', 'regraft.plan')) for name in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == full.predict([clip])


def test_frames_of_frozen_stages_come_from_the_cache_and_change_nothing(place):
    cached = tuned(place, name="cached", strategy="top(n=0)")
    live = tuned(place, name="live", strategy="top(n=0)", cache=False)
    assert cached.document["cost"]["cache"]["phases_cached"] == 1 and live.document["cost"]["cache"]["phases_cached"] == 0
    assert cached.metrics["test"]["cer"]["value"] == pytest.approx(live.metrics["test"]["cer"]["value"], abs=0.02)
    middle = tuned(place, name="middle", strategy="gradual_unfreezing")
    assert middle.document["cost"]["cache"]["phases_cached"] >= 2


def test_it_is_compared_by_its_word_errors_and_the_page_shows_the_worst(full, place):
    weak = tuned(place, name="weak", strategy="bias_only", epochs=1.0, beam=4)
    assert weak.record.manifest["facts"]["beam"] == 4
    against = full.evaluate(str(place / "data" / "data.csv"), against=weak)["against"]
    assert (against["metric"], against["verdict"]) == ("wer", "better") and against["difference"]["value"] < 0
    page = Path(weak.document["report"]).read_text(encoding="utf-8")
    assert "<audio" in page and "wer" in page


def test_other_speech_goes_on_from_its_trunk_and_its_head(full, place):
    """What was learned from one voice, such as that of espeak-ng, for another."""
    untouched = full.grow(
        place / "data" / "data.csv", new_task="untouched", task="speech-recognition", control=False, **{**SHORT, "lr": 1e-9}
    )
    assert any(
        reason.startswith("the head begins with what full learned of the 3 classes") for reason in untouched.document["plan"]["reasons"]
    )
    assert untouched.metrics["test"] == full.metrics["test"]
    more = full.grow(place / "data" / "data.csv", new_task="again", task="speech-recognition", strategy="full", control=False, **SHORT)
    assert more.record.manifest["head"]["name"] == "again" and "blocks.3" in more.record.manifest["sharing"]["own"]
    still = full.grow(place / "data" / "data.csv", new_task="still", task="speech-recognition", control=False, **SHORT)
    assert still.record.manifest["strategy"] == "top(n=0)" and still.record.manifest["sharing"]["own"] == ["head"]


def test_more_of_the_same_is_a_head_of_its_own(full, place):
    with pytest.raises(
        RequestError, match=r"found: its task is speech-recognition, and only classifiers take on more of the same\ntry:   --new-task NAME"
    ):
        full.grow(place / "data" / "data.csv")


ENCODER = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "num_conv_pos_embeddings": 4,
           "conv_dim": (8, 8), "conv_kernel": (10, 8), "conv_stride": (20, 16), "num_conv_pos_embedding_groups": 2, "num_feat_extract_layers": 2}  # fmt: skip
WHISPER = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 24,
           "decoder_ffn_dim": 24, "num_mel_bins": 8, "max_source_positions": 40, "max_target_positions": 8, "vocab_size": 20, "pad_token_id": 0,
           "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0}  # fmt: skip
SAVED = {
    "Wav2Vec2Model": ENCODER,
    "Wav2Vec2ForCTC": {**ENCODER, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "vocab_size": 9},
    "HubertModel": ENCODER,
    "WavLMModel": ENCODER,
    "WhisperModel": WHISPER,
}


@pytest.mark.parametrize("model", SAVED)
def test_encoders_of_transformers_are_read_from_their_folders(model, place, tmp_path):
    import torch
    import transformers

    torch.manual_seed(0)
    built = getattr(transformers, model)
    built(built.config_class(**SAVED[model])).save_pretrained(tmp_path / "saved")
    made = rg.tune(
        place / "data" / "data.csv", model=f"file:{tmp_path / 'saved'}", strategy="full", store=tmp_path / "store", name="mine", **SHORT
    )
    assert np.isfinite(made.metrics["test"]["cer"]["value"]) and not made.document["warnings"]
    assert all(moved > 0 for moved in made.record.manifest["drift"].values())
    shutil.rmtree(tmp_path / "saved")
    clips = [str(place / "data" / "clips" / f"{i}.wav") for i in (3, 8, 13)]
    again = rg.open("mine", store=tmp_path / "store").predict(clips)
    assert again == made.predict(clips) and [set(one) for one in again] == [{"input", "text", "probability"}] * 3
    more = rg.grow(made, place / "data" / "data.csv", new_task="more", task="speech-recognition", control=False, **{**SHORT, "lr": 1e-9})
    assert more.metrics["test"] == made.metrics["test"]


def test_a_head_that_is_solved_is_refused(place):
    with pytest.raises(
        PlanError, match=r"found: the head of speech-recognition is a SpellingHead\ntry:   a strategy that trains it by gradient"
    ):
        tuned(place, name="solved", strategy="linear_probe")


def test_transcripts_longer_than_their_clips_are_named_and_many_are_an_error(tmp_path):
    many = written(tmp_path / "many", 20, extra=(("a", "abababab"),) * 2)
    with pytest.raises(DataError, match=r"2 of 14 train examples: what is to be learned is longer than the model's frames can spell in the time of its "
                                        r"clip \(data\.csv row 22, data\.csv row 23\)"):  # fmt: skip
        rg.plan(many, model=SMALL, store=tmp_path / "store")
    made = rg.tune(many, store=tmp_path / "store", allow_rejected=True, name="many", **{**OPTIONS, "epochs": 1.0})
    assert any("2 of 14 train examples" in warning and "they teach nothing" in warning for warning in made.document["warnings"])
    assert np.isfinite(made.metrics["test"]["cer"]["value"])
