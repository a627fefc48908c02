"""Pretrain the bundled audio trunk: Regraft's mel_resnet tells spoken words apart, most of them spoken by espeak-ng, with a plain PyTorch loop.

``speak`` has libespeak-ng say the most frequent English words in many voices, speeds and pitches, and adds a folder of recordings (a folder for each
word). ``train`` learns the words, each clip changed at random: speed, place, band width, room, noise, colour, and bands and spans left out.
A killed run goes on from its last finished part.

    python pretraining/audio.py speak OUT --vocabulary VOCAB.txt --real SPEECH_COMMANDS
    python pretraining/audio.py train OUT --minutes 15
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from safetensors.torch import save_file
from scipy.signal import resample_poly
from torch import Tensor, nn
from torch.nn import functional as F

from regraft.trunk.mel_resnet import SAMPLE_RATE, MelResNet, mel_resnet

ACCENTS = ("en-us", "en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis",
    "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "Nguyen", "Storm", "adam",
    "anika", "announcer", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "croak", "david", "ed", "edward", "edward2",
    "grandma", "grandpa", "gustave", "iven", "iven2", "iven3", "iven4", "john", "kaukovalta", "klatt", "klatt2", "klatt3", "klatt4",
    "klatt5", "klatt6", "linda", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert",
    "sandro", "shelby", "steph", "steph2", "steph3", "travis", "victor", "whisper", "zac",
)  # fmt: skip
RATE, PITCH, RANGE, PHONEMES = 1, 3, 4, 0
LONGEST = 24_000  # samples
REAL_TIMES = 12
"""How often a recording is seen for each time that a spoken clip is."""


class Speaker:
    """libespeak-ng, without a sound card."""

    def __init__(self, library: str) -> None:
        self.lib = ctypes.CDLL(library)
        self.rate = self.lib.espeak_Initialize(2, 0, None, 0)  # AUDIO_OUTPUT_SYNCHRONOUS
        self.pieces: list[np.ndarray] = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self.callback = kind(self._take)
        self.lib.espeak_SetSynthCallback(self.callback)
        self.lib.espeak_TextToPhonemes.restype = ctypes.c_char_p

    def _take(self, wave: ctypes._Pointer, count: int, events: int) -> int:
        if wave and count:
            self.pieces.append(np.ctypeslib.as_array(wave, (count,)).copy())
        return 0

    def say(self, word: str, *, voice: str, rate: int, pitch: int, spread: int, longest: int = LONGEST) -> np.ndarray:
        """(T,) int16 at 16 kHz, without the silence at both ends; empty where the voice does not exist. ``longest``: samples."""
        self.pieces.clear()
        if self.lib.espeak_SetVoiceByName(voice.encode()) != 0:
            return np.zeros(0, np.int16)
        for parameter, value in ((RATE, rate), (PITCH, pitch), (RANGE, spread)):
            self.lib.espeak_SetParameter(parameter, value, 0)
        text = word.encode() + b"\0"
        self.lib.espeak_Synth(text, len(text), 0, 1, 0, 1, None, None)
        wave = np.concatenate(self.pieces) if self.pieces else np.zeros(0, np.int16)
        return trimmed(resample_poly(wave.astype(np.float32), 320, 441) if self.rate == 22_050 else wave, longest)

    def phonemes(self, word: str) -> str:
        self.lib.espeak_SetVoiceByName(b"en-us")
        text = ctypes.c_char_p(word.encode())
        return (self.lib.espeak_TextToPhonemes(ctypes.byref(text), 1, 0) or b"").decode()


def trimmed(wave: np.ndarray, longest: int) -> np.ndarray:
    loud = np.flatnonzero(np.abs(wave) > 0.01 * np.abs(wave).max(initial=1))
    kept = wave[max(loud[0] - 400, 0) : loud[-1] + 800] if len(loud) else wave[:0]
    return np.clip(kept[:longest], -32768, 32767).astype(np.int16)


def words_of(vocabulary: Path, speaker: Speaker, count: int, first: list[str]) -> list[str]:
    """``first``, then the most frequent words of three letters or more (the order of BERT's vocabulary), one of each sound."""
    known = {speaker.phonemes(word): word for word in first}
    for line in vocabulary.read_text(encoding="utf-8").splitlines():
        if len(known) >= count:
            break
        if line.isalpha() and line.isascii() and 3 <= len(line) <= 9:
            known.setdefault(speaker.phonemes(line), line)
    return list(known.values())


def speak(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    speaker, rng = Speaker(args.library), np.random.default_rng(0)
    folders = sorted(folder for folder in args.real.iterdir() if folder.is_dir()) if args.real else []
    words = words_of(args.vocabulary, speaker, args.words, [folder.name for folder in folders])
    waves: list[np.ndarray] = []
    labels: list[int] = []
    is_real: list[bool] = []
    for clip in range(args.clips):
        voice_of = rng.integers(len(VARIANTS), size=len(words)), rng.integers(len(ACCENTS), size=len(words))
        for label in np.lexsort(voice_of[::-1]):  # a voice that stays costs nothing
            voice = f"{ACCENTS[voice_of[1][label]]}+{VARIANTS[voice_of[0][label]]}"
            rate, pitch, spread = int(rng.integers(110, 230)), int(rng.integers(15, 90)), int(rng.integers(20, 90))
            wave = speaker.say(words[label], voice=voice, rate=rate, pitch=pitch, spread=spread)
            if len(wave) > 800:
                waves.append(wave)
                labels.append(int(label))
                is_real.append(False)
        print(clip + 1, len(waves), flush=True)
    for label, folder in enumerate(folders):
        for file in sorted(folder.glob("*.wav")):
            waves.append((soundfile.read(file)[0] * 32767).astype(np.int16)[:LONGEST])
            labels.append(label)
            is_real.append(True)
    np.savez(args.out / "words.npz", samples=np.concatenate(waves), lengths=[len(w) for w in waves], labels=labels, is_real=is_real)
    (args.out / "words.json").write_text(json.dumps(words))


def changed(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Faster or slower (pitch with it), with some silence around it; float32."""
    speed = rng.uniform(0.85, 1.2)
    places = np.arange(0, len(wave) - 1.5, speed)
    below = places.astype(np.int64)
    part = (places - below).astype(np.float32)
    wave = wave.astype(np.float32) / 32768
    wave = wave[below] * (1 - part) + wave[below + 1] * part
    before, after = (int(rng.integers(0, 2_400)) * (rng.random() < 0.7) for _ in range(2))
    return np.pad(wave, (before, after))


def in_a_room(samples: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the clips convolved with noise that dies away within 50 to 400 ms."""
    count, length = samples.shape
    decay = torch.empty(count, 1).uniform_(0.01, 0.08, generator=generator) * SAMPLE_RATE
    tail = torch.randn(count, 6_400, generator=generator) * torch.exp(-torch.arange(6_400) / decay)
    share = torch.empty(count, 1).uniform_(0.0, 0.25, generator=generator) * (torch.rand(count, 1, generator=generator) < 0.5)
    response = share * tail / tail.norm(dim=1, keepdim=True)
    response[:, 0] += 1.0
    size = length + 6_400
    return torch.fft.irfft(torch.fft.rfft(samples, size) * torch.fft.rfft(response, size), size)[:, :length]


def with_noise(samples: Tensor, generator: torch.Generator, least_db: float = 3.0) -> Tensor:
    """Noise of a random colour, from ``least_db`` to 40 dB below the clip."""
    count, length = samples.shape
    spectrum = torch.fft.rfft(torch.randn(count, length, generator=generator))
    slope = torch.empty(count, 1).uniform_(-1.0, 0.3, generator=generator)
    noise = torch.fft.irfft(spectrum * (torch.arange(spectrum.shape[1]) + 10.0) ** slope, length)
    level = 10 ** (-torch.empty(count, 1).uniform_(least_db, 40, generator=generator) / 20)
    scale = level * samples.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return samples + noise * scale


def recoloured(levels: Tensor, heard: Tensor, generator: torch.Generator) -> Tensor:
    """Log-mel (B, 1, bands, frames): a smooth random tone control, half of the clips cut off above some band, and two bands and two spans left out."""
    count, _, bands, frames = levels.shape
    curve = F.interpolate(torch.randn(count, 1, 5, generator=generator), bands, mode="linear", align_corners=True)[..., None]
    levels = (levels + 0.12 * curve).clamp(min=0.0)
    top = torch.where(torch.rand(count, generator=generator) < 0.5, torch.randint(40, bands, (count,), generator=generator), bands)
    levels = levels * (torch.arange(bands)[None, :, None] < top[:, None, None])[:, None]
    for axis, size, widest in ((2, bands, 10), (2, bands, 10), (3, frames, 14), (3, frames, 14)):
        width = torch.randint(0, widest + 1, (count, 1), generator=generator)
        start = (torch.rand(count, 1, generator=generator) * (size - width).clamp(min=1)).long()
        place = torch.arange(size)[None]
        hole = (place >= start) & (place < start + width)
        levels = levels.masked_fill(hole[:, None, :, None] if axis == 2 else hole[:, None, None], 0.0)
    return levels * heard[:, None, None]


class Words(nn.Module):
    def __init__(self, trunk: MelResNet, count: int) -> None:
        super().__init__()
        self.trunk, self.dropout, self.classifier = trunk, nn.Dropout(0.1), nn.Linear(trunk.width, count)

    def forward(self, samples: Tensor, mask: Tensor, generator: torch.Generator | None) -> Tensor:
        net = self.trunk
        heard = mask[:, :: net.mel.hop]
        levels = net.mel(samples, heard)
        x = net.stem(levels if generator is None else recoloured(levels, heard, generator), heard)
        heard = heard[:, ::2]
        for block in net.blocks:
            x = block(x, heard)
            heard = heard[:, :: block.steps[1]]
        pooled = x.flatten(1, 2).sum(2) / heard.sum(1, keepdim=True)
        return self.classifier(self.dropout(pooled))


def padded(waves: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    width = max(map(len, waves))
    samples, mask = np.zeros((len(waves), width), np.float32), np.zeros((len(waves), width), bool)
    for row, wave in enumerate(waves):
        samples[row, : len(wave)] = wave
        mask[row, : len(wave)] = True
    return torch.from_numpy(samples), torch.from_numpy(mask)


def batches(rows: np.ndarray, lengths: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Rows in random order, those of similar length together."""
    order = rng.permutation(rows)
    for start in range(0, len(order), 16 * size):
        chunk = order[start : start + 16 * size]
        chunk = chunk[np.argsort(lengths[chunk])]
        parts = [chunk[at : at + size] for at in range(0, len(chunk) - size + 1, size)]
        yield from (parts[place] for place in rng.permutation(len(parts)))


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    held = np.load(args.out / "words.npz")
    samples, lengths, labels, is_real = (held[name] for name in ("samples", "lengths", "labels", "is_real"))
    starts = np.cumsum(lengths) - lengths
    wave_of = lambda row: samples[starts[row] : starts[row] + lengths[row]]  # noqa: E731
    words = json.loads((args.out / "words.json").read_text())
    aside = np.random.default_rng(1).permutation(np.flatnonzero(~is_real))[: args.valid]
    seen = np.setdiff1d(np.arange(len(lengths)), aside)
    seen = np.concatenate([seen, *[seen[is_real[seen]]] * (REAL_TIMES - 1)])
    model = Words(mel_resnet(), len(words))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.02)
    checkpoint, log = args.out / "checkpoint.pt", args.out / "log.jsonl"
    spent, part, step = resumed(checkpoint, model, optimizer)
    total = args.minutes * 60.0
    while spent < total:
        part += 1
        rng, generator = np.random.default_rng(part), torch.Generator().manual_seed(part)
        losses, hits, count, began = 0.0, 0, 0, time.process_time()
        model.train()
        for rows in batches(seen, lengths, args.batch_size, rng):
            progress = min((spent + time.process_time() - began) / total, 1.0)
            rate = args.lr * min(1.0, (step + 1) / 200, 0.02 + 0.49 * (1 + math.cos(math.pi * progress)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            clips, mask = padded([changed(wave_of(row), rng) for row in rows])
            logits = model(with_noise(in_a_room(clips, generator), generator) * mask, mask, generator)
            target = torch.from_numpy(labels[rows])
            loss = F.cross_entropy(logits, target, label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            step += 1
            losses, hits, count = losses + loss.item() * len(rows), hits + int((logits.argmax(1) == target).sum()), count + len(rows)
            if count >= args.part or progress >= 1.0:
                break
        spent += time.process_time() - began
        row = {"part": part, "clips": step * args.batch_size, "loss": round(losses / count, 4), "top1": round(hits / count, 4)}
        row |= {"lr": round(rate, 6), "minutes": round(spent / 60, 2)}
        if part % 5 == 0 or spent >= total:
            row["valid_top1"] = round(valid(model, [wave_of(r) for r in aside], labels[aside]), 4)
        with log.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        print(row, flush=True)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "spent": spent, "part": part, "step": step}
        torch.save(state, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)
        keep(model.trunk, args.out / "audio.safetensors")


def resumed(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[float, int, int]:
    """Seconds spent, parts and steps done."""
    if not checkpoint.exists():
        return 0.0, 0, 0
    state = torch.load(checkpoint, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["spent"], state["part"], state["step"]


@torch.inference_mode()
def valid(model: Words, waves: list[np.ndarray], labels: np.ndarray) -> float:
    model.eval()
    hits = 0
    for start in range(0, len(waves), 100):
        clips, mask = padded([wave.astype(np.float32) / 32768 for wave in waves[start : start + 100]])
        hits += int((model(clips, mask, None).argmax(1).numpy() == labels[start : start + 100]).sum())
    return hits / len(waves)


def keep(trunk: MelResNet, file: Path) -> None:
    """Weights in half precision; the front end's window and filters as they are."""
    halves = {
        name: value.half().contiguous() if value.is_floating_point() and not name.startswith("mel.") else value.contiguous()
        for name, value in trunk.state_dict().items()
    }
    save_file(halves, file, metadata={"architecture": "mel_resnet", "licence": "see pretraining/README.md"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    speaking = verbs.add_parser("speak")
    speaking.add_argument("out", type=Path)
    speaking.add_argument("--vocabulary", type=Path, required=True, help="words, the most frequent first, one to a line")
    speaking.add_argument("--real", type=Path, help="a folder of recordings for each word")
    speaking.add_argument("--words", type=int, default=800)
    speaking.add_argument("--clips", type=int, default=30, help="of each word")
    speaking.add_argument("--library", default="libespeak-ng.so.1")
    speaking.set_defaults(run=speak)
    training = verbs.add_parser("train")
    training.add_argument("out", type=Path)
    training.add_argument("--minutes", type=float, default=15.0, help="of processor time")
    training.add_argument("--lr", type=float, default=2e-3)
    training.add_argument("--batch-size", type=int, default=64)
    training.add_argument("--part", type=int, default=6_400, help="clips between two checkpoints")
    training.add_argument("--valid", type=int, default=1_000)
    training.set_defaults(run=train)
    arguments = parser.parse_args()
    arguments.run(arguments)
