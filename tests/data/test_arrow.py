"""Arrow arrays without pandas: what they hold, and that reading data does not import it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from regraft.data import arrow

READING = """
import sys
from regraft.data import load
for path in sys.argv[1:]:
    train = load(path).splits["train"]
    train.take([0, 1]).targets, train.digests.keys
assert "pandas" not in sys.modules
"""


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["where", None, "", "wörter 字"], pa.string()),
        (["where", None], pa.large_string()),
        ([1, None, -3], pa.int64()),
        ([1.5, None], pa.float64()),
        ([[1, 2], None, [], [3]], pa.list_(pa.int64())),
        ([[0.5, 2.0], None, [1.0, 3.0]], pa.list_(pa.float32(), 2)),
        (range(3, 9), pa.int64()),
        ([], pa.string()),
        ([], pa.list_(pa.int64())),
    ],
)
def test_a_sequence_becomes_what_arrow_itself_would_make_of_it(values: list, kind: pa.DataType) -> None:
    made = arrow.array(values, kind)
    made.validate(full=True)
    assert made.equals(pa.array(values, kind))


@pytest.mark.parametrize(
    "values", [np.arange(5), np.arange(8)[::2], np.array([True, False, True] * 5), np.zeros(0, np.uint64), np.float32([1.5])]
)
def test_a_numpy_array_keeps_its_kind(values: np.ndarray) -> None:
    assert arrow.array(values).equals(pa.array(values))


def test_numbers_come_back_from_pieces_and_slices() -> None:
    column = pa.chunked_array([arrow.array(np.arange(6))[2:5], arrow.array(np.zeros(0, np.int64)), arrow.array(np.array([9]))])
    found = arrow.numbers(column)
    assert found.tolist() == [2, 3, 4, 9] and found.flags.writeable


def test_lists_come_back_from_pieces_and_slices() -> None:
    kind = pa.list_(pa.int64())
    column = pa.chunked_array([arrow.array([[7], [1, 2], [], [3]], kind)[1:], arrow.array([], kind), arrow.array([[4]], kind)])
    assert [row.tolist() for row in arrow.rows(column)] == [[1, 2], [], [3], [4]]


def test_marked_values_are_null() -> None:
    made = arrow.array(np.arange(3), pa.int64(), null=np.array([False, True, False]))
    assert made.to_pylist() == [0, None, 2]


def test_a_sequence_without_a_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="a sequence does not say its kind"):
        arrow.array(["where"])


def test_reading_texts_leaves_pandas_alone(tmp_path: Path) -> None:
    lines = [(f"where is card number {i} of mine", "cards" if i % 2 else "loans") for i in range(40)]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in lines))
    (tmp_path / "b.jsonl").write_text("".join(f'{{"text": "{text}", "label": "{label}"}}\n' for text, label in lines))
    (tmp_path / "c.conll").write_text("Anna B-person\nlives O\n\nin O\nRome B-place\n\n" * 10)
    subprocess.run([sys.executable, "-c", READING, *map(str, sorted(tmp_path.iterdir()))], check=True)
