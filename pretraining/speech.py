"""Teach bundled:audio to spell before it hears a recording: espeak-ng speaks, Regraft tunes, and the generation is what other speech goes on from.

``speak`` has libespeak-ng say phrases of a text and rows of digit words in many voices, accents, speeds and pitches; each clip in some room, with some tone and
noise, half of them at 8 kHz as a telephone has it. ``tune`` learns to write them down: a generation, ``spoken``, in the store. Killed and started again, it
goes on where it was.

    python pretraining/speech.py speak OUT --texts input.txt
    python pretraining/speech.py tune OUT --store STORE
    regraft grow spoken real.csv --new-task real --task speech-recognition --strategy full --store STORE
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from audio import ACCENTS, SAMPLE_RATE, VARIANTS, Speaker, in_a_room, with_noise
from scipy.signal import resample_poly

import regraft as rg

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MOST_WORDS, MOST_DIGITS = 5, 3
HELD = 6
"""Every so many voices one is never learned from: it says what is valid and test."""
LONGEST = 3 * SAMPLE_RATE
LOW, HIGH, CURVE_DB = 60.0, 8_000.0, 8.0
"""The tone of a clip: a smooth curve between these frequencies, of this spread."""


def speak(args: argparse.Namespace) -> None:
    (args.out / "clips").mkdir(parents=True, exist_ok=True)
    speaker, chance = Speaker(args.library), np.random.default_rng(args.seed)
    said = texts(phrases(args.texts), args.digits, chance)
    sizes = {"train": args.clips, "valid": args.held, "test": args.held}
    rows = []
    for split, count in sizes.items():
        voices = [name for place, name in enumerate(VARIANTS) if (place % HELD == 0) == (split != "train")]
        while count:
            text = next(said)
            wave = spoken(speaker, text, str(chance.choice(voices)), chance)
            if wave is None:
                continue
            rate = SAMPLE_RATE // int(chance.integers(1, 3))
            name = f"{len(rows):05d}.wav"
            heard = recorded(wave, chance, args.least_db)
            soundfile.write(args.out / "clips" / name, resample_poly(heard, rate, SAMPLE_RATE), rate, subtype="PCM_16")
            rows.append((name, text, split))
            count -= 1
    with (args.out / "spoken.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("clip", "transcript", "split"), *rows])
    print(f"{len(rows):,} clips")


def phrases(file: Path) -> list[list[str]]:
    """Words in small letters, cut where the text has a sign or a line ends."""
    parts = re.split(r"[^a-z' \n]|\n+|--", file.read_text(encoding="utf-8").lower())
    words = [[word for word in part.split() if word.strip("'") == word] for part in parts]
    return [found for found in words if found]


def texts(found: list[list[str]], digits: float, chance: np.random.Generator) -> Iterator[str]:
    """In a share of ``digits`` digit words, as often one alone as several; else up to ``MOST_WORDS`` words of a phrase."""
    while True:
        if chance.random() < digits:
            count = 1 if chance.random() < 0.5 else int(chance.integers(2, MOST_DIGITS + 1))
            yield " ".join(chance.choice(DIGITS, count))
        else:
            phrase = found[chance.integers(len(found))]
            start = int(chance.integers(len(phrase)))
            yield " ".join(phrase[start : start + int(chance.integers(1, MOST_WORDS + 1))])


def spoken(speaker: Speaker, text: str, variant: str, chance: np.random.Generator) -> np.ndarray | None:
    """(T,) float32; ``None`` for what is too short or long, or said by no such voice."""
    voice = f"{chance.choice(ACCENTS)}+{variant}"
    rate, pitch, spread = int(chance.integers(110, 300)), int(chance.integers(10, 90)), int(chance.integers(20, 90))
    wave = speaker.say(text, voice=voice, rate=rate, pitch=pitch, spread=spread, longest=LONGEST + 1)
    return wave.astype(np.float32) / 32768 if 1_600 <= len(wave) <= LONGEST else None


def recorded(wave: np.ndarray, chance: np.random.Generator, least_db: float) -> np.ndarray:
    """As through a microphone in some room: silence around it, an echo, a tone, noise (``least_db`` below it or more) and a loudness of its own."""
    around = [int(chance.integers(0, 2_400)) * (chance.random() < 0.5) for _ in range(2)]
    generator = torch.Generator().manual_seed(int(chance.integers(1 << 31)))
    clip = torch.from_numpy(toned(np.pad(wave, around), chance))[None]
    heard = with_noise(in_a_room(clip, generator), generator, least_db)[0].numpy()
    return heard * (chance.uniform(0.1, 0.9) / max(np.abs(heard).max(), 1e-6))


def toned(wave: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """A smooth random curve over the logarithm of frequency."""
    spectrum = np.fft.rfft(wave)
    places = np.log(np.maximum(np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE), LOW))
    knots = np.linspace(np.log(LOW), np.log(HIGH), 6)
    gain = 10 ** (np.interp(places, knots, chance.normal(0, CURVE_DB, len(knots))) / 20)
    return np.fft.irfft(spectrum * gain, len(wave)).astype(np.float32)


def tune(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    options = {
        "strategy": "full", "name": args.name, "store": args.store, "resume": True, "epochs": args.epochs, "lr": args.lr, "batch_size": 16,
        "schedule": "cosine", "augment": {"noise": 0.05, "spec_augment": 1}, "allow_rejected": True,
    }  # fmt: skip
    table = args.out / "spoken.csv"
    if args.parent:
        made = rg.grow(args.parent, table, new_task=args.name, task="speech-recognition", control=False, **options)
    else:
        made = rg.tune(table, model="bundled:audio", **options)
    print({split: {name: round(metric["value"], 4) for name, metric in found.items()} for split, found in made.metrics.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    speaking = verbs.add_parser("speak")
    speaking.add_argument("out", type=Path)
    speaking.add_argument("--texts", type=Path, required=True, help="a text file in English")
    speaking.add_argument("--clips", type=int, default=4_000, help="to learn from")
    speaking.add_argument("--held", type=int, default=200, help="clips of valid, and of test")
    speaking.add_argument("--digits", type=float, default=0.45, help="share of clips that are digit words")
    speaking.add_argument("--least-db", type=float, default=3.0, help="how far below a clip its noise is, at least")
    speaking.add_argument("--seed", type=int, default=0)
    speaking.add_argument("--library", default="libespeak-ng.so.1")
    speaking.set_defaults(run=speak)
    tuning = verbs.add_parser("tune")
    tuning.add_argument("out", type=Path)
    tuning.add_argument("--store", default=".regraft")
    tuning.add_argument("--name", default="spoken")
    tuning.add_argument("--parent", default="", help="a generation to go on from")
    tuning.add_argument("--epochs", type=float, default=3.0)
    tuning.add_argument("--lr", type=float, default=1.5e-3)
    tuning.set_defaults(run=tune)
    arguments = parser.parse_args()
    arguments.run(arguments)
