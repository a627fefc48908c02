"""Data sets of the Hugging Face hub, through ``datasets``; the network is touched only here, and only for a reference that asks for it."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from regraft.data import arrow
from regraft.data.names import split_of
from regraft.errors import DataError

BATCH_ROWS = 50_000
ANSWER_WITHIN_S = 3.0


class HubTable:
    """One split of a hub data set. See :class:`regraft.data.tables.TableFile`."""

    def __init__(self, name: str, split: str, rows: Any) -> None:
        self.path = Path(f"{name}:{split}")
        self.columns = tuple(rows.column_names)
        self.rejected: list[tuple[int, str]] = []
        self.said: list[str] = []
        self._rows = rows

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(self._rows), BATCH_ROWS):
            part = self._rows[start : start + BATCH_ROWS]
            arrays = [arrow.array([self._text(name, value) for value in part[name]], pa.string()) for name in columns]
            rows = arrow.array(range(start + 1, start + 1 + len(arrays[0])), pa.int64())
            yield pa.RecordBatch.from_arrays([*arrays, rows], [*columns, "row"])

    def _text(self, name: str, value: Any) -> str | None:
        feature = self._rows.features[name]
        if hasattr(feature, "int2str"):  # a class: -1 is how hub data sets write a hidden label
            return feature.int2str(value) if value is not None and value >= 0 else None
        return None if value is None else str(value)


def open_tables(name: str) -> dict[str, list[HubTable]]:
    """The splits of hub data set ``name``; raises :class:`DataError` when offline or when there is none of that name."""
    asked = f"read the hub data set {name}"
    if any(os.environ.get(variable, "0").lower() in ("1", "true", "yes") for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")):
        raise DataError(asked, "this machine is set to stay offline (HF_HUB_OFFLINE)", "give a file or folder, or unset HF_HUB_OFFLINE")
    import datasets
    from huggingface_hub import constants

    if not _answers(constants.ENDPOINT):  # said at once: the libraries would try again and again for half a minute
        raise DataError(
            asked, "no such file or folder here, and the hub does not answer", "check the name and the network, or give a file or folder"
        )
    try:
        found = datasets.load_dataset(name)
    except (OSError, ValueError, RuntimeError) as error:  # no network, no such name, several configurations: all of them derive from these
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            asked, f"no such file here, and the hub gave none: {first}", "check the name and the network, or give a file or folder"
        ) from error
    tables: dict[str, list[HubTable]] = {}
    for split, rows in found.items():
        tables.setdefault(split_of(str(split)) or "", []).append(HubTable(name, str(split), rows))
    if "train" in tables:
        tables.pop("", None)  # further splits, such as "unsupervised", are no part of the task
    return tables


def _answers(url: str) -> bool:
    """Does the server of ``url`` answer in time? An error page is an answer, too."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=ANSWER_WITHIN_S).close()
    except urllib.error.HTTPError:
        return True
    except OSError:  # no network, no such host, no answer in time: all of them derive from it
        return False
    return True
