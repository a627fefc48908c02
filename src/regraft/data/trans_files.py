"""Transcripts in the form of LibriSpeech: ``84-121123.trans.txt`` beside the sounds, in each line the name of one and what is said in it. See
:class:`regraft.data.tables.TableFile`.

84-121123-0000 GO DO YOU HEAR         the sound is 84-121123-0000.flac (or .wav, ...) in the same folder
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from regraft.data import arrow, encoding
from regraft.data.names import AUDIO_ENDINGS, split_of

ENDING = ".trans.txt"
COLUMNS = ("path", "transcript")
DEEPEST = 4
USUAL = ".flac"


class TransFile:
    """``batches`` gives one row a line: the absolute path of the sound, and its transcript."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: tuple[str, ...] = COLUMNS
        self.rejected: list[tuple[int, str]] = []
        self.said: list[str] = []

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        self.rejected.clear()
        try:
            lines = self.path.read_text(encoding.of_file(self.path)).splitlines()
        except UnicodeDecodeError as error:
            raise encoding.refuse(self.path, f"byte {error.start} is not UTF-8") from None
        sounds = {file.stem: file for file in self.path.parent.iterdir() if file.suffix.lower() in AUDIO_ENDINGS}
        rows = [(number, *line.strip().partition(" ")[::2]) for number, line in enumerate(lines, start=1) if line.strip()]
        cells = {
            "path": [str(sounds.get(name, self.path.parent / f"{name}{USUAL}")) for _, name, _ in rows],
            "transcript": [text for _, _, text in rows],
        }
        arrays = [arrow.array(cells[name], pa.string()) for name in columns]
        yield pa.RecordBatch.from_arrays([*arrays, arrow.array([number for number, _, _ in rows], pa.int64())], [*columns, "row"])


def find(root: Path) -> dict[str, list[Path]]:
    """The files below ``root`` by split, which the name of a folder on the way begins with (``train-clean-100``, ``dev-clean``); none where the first
    folders on the way down hold none, so that other data is not walked through."""
    folder: Path | None = root
    for _ in range(DEEPEST):
        if folder is None or any(folder.glob(f"*{ENDING}")):
            break
        folder = next((entry for entry in sorted(folder.iterdir()) if entry.is_dir()), None)
    if folder is None or not any(folder.glob(f"*{ENDING}")):
        return {}
    found: dict[str, list[Path]] = {}
    for file in sorted(root.rglob(f"*{ENDING}")):
        given = (split_of(part.partition("-")[0]) for part in file.relative_to(root).parts[:-1])
        found.setdefault(next(filter(None, given), ""), []).append(file)
    return found
