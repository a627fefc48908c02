"""What the data doctor finds in sound files: broken and silent clips, rates and channels that are converted, lengths that stand out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from regraft.data import duplicates
from regraft.data.dataset import Dataset, Progress
from regraft.data.listen import SILENT_PEAK, Sound, examine, hear
from regraft.data.look import every_file

SHORT_S, LONG_S = 0.05, 60.0
SHOWN = 3
Problem = dict[str, Any]
Heard = dict[str, list[Sound]]
"""Split -> its sounds, row by row."""


def listen(dataset: Dataset, *, deep: bool, progress: Progress | None = None) -> Heard:
    """Every file of ``dataset``; ``deep``: decoded in full."""
    return every_file(dataset, examine if deep else hear, saying="listening", progress=progress)


def problems(dataset: Dataset, heard: Heard) -> list[Problem]:
    return [*_broken(dataset, heard), *_silent(dataset, heard), *_converted(heard), *_lengths(dataset, heard)]


def groups(heard: Heard) -> duplicates.Groups:
    """Equal samples (or, if not decoded, equal files) are one key; a broken file is equal only to itself."""
    sounds = [sound for part in heard.values() for sound in part]
    keys = [int((s.content or s.digest)[:16], 16) if not s.fault else index for index, s in enumerate(sounds)]
    return duplicates.of_equal(np.array(keys, np.uint64))


def _broken(dataset: Dataset, heard: Heard) -> list[Problem]:
    found = []
    for name, sounds in heard.items():
        rows = [row for row, sound in enumerate(sounds) if sound.fault]
        faults = ", ".join(sorted({sounds[row].fault for row in rows})[:SHOWN])
        found += _problem(dataset, "unreadable_sounds", "error", name, rows, f"{faults}: mend or remove")
    return found


def _silent(dataset: Dataset, heard: Heard) -> list[Problem]:
    found = []
    for name, sounds in heard.items():
        rows = [row for row, sound in enumerate(sounds) if not sound.fault and sound.peak < SILENT_PEAK]
        found += _problem(
            dataset, "silent_clips", "warning", name, rows, "nothing can be heard in these clips: record them again or remove them"
        )
    return found


def _converted(heard: Heard) -> list[Problem]:
    """Several channels, and other rates than most models hear: handled, and good to know."""
    sounds = [sound for part in heard.values() for sound in part if not sound.fault]
    found: list[Problem] = []
    several = [sound for sound in sounds if sound.channels > 1]
    if several:
        most = max(sound.channels for sound in several)
        what = "stereo" if most == 2 else f"up to {most} channels"
        found.append(
            _note(
                "several_channels",
                what,
                len(several),
                "the mean of the channels is used: if only one of them holds the sound, split it off",
            )
        )
    rates = Counter(sound.rate for sound in sounds)
    if len(rates) > 1:
        listed = ", ".join(f"{rate:,} Hz ({count:,})" for rate, count in rates.most_common())
        found.append(
            _note(
                "several_rates",
                listed,
                len(sounds),
                "all are resampled to the model's rate; where rate and class go together, a model learns the rate",
            )
        )
    return found


def _lengths(dataset: Dataset, heard: Heard) -> list[Problem]:
    found = []
    for name, sounds in heard.items():
        whole = [(row, sound.seconds) for row, sound in enumerate(sounds) if not sound.fault]
        short, long = [row for row, seconds in whole if seconds < SHORT_S], [row for row, seconds in whole if seconds > LONG_S]
        found += _problem(dataset, "short_clips", "note", name, short, f"shorter than {SHORT_S:g} s: hardly more than a click")
        found += _problem(
            dataset, "long_clips", "note", name, long, f"longer than {LONG_S:g} s: cut them, or see --set max_length (in samples)"
        )
    return found


def _problem(dataset: Dataset, kind: str, severity: str, split: str, rows: list[int], advice: str) -> list[Problem]:
    if not rows:
        return []
    places = ", ".join(dataset.splits[split].where(row) for row in rows[:SHOWN]) + (", ..." if len(rows) > SHOWN else "")
    return [{"kind": kind, "severity": severity, "where": f"{split}: {places}", "count": len(rows), "advice": advice}]


def _note(kind: str, where: str, count: int, advice: str) -> Problem:
    return {"kind": kind, "severity": "note", "where": where, "count": count, "advice": advice}
