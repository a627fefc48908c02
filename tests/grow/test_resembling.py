"""What nearly repeats a test example of an ancestor is never learned."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

import regraft as rg
from regraft.data.load import load_more
from regraft.errors import DataError
from regraft.grow.memory import Memory
from regraft.grow.news import of as news_of
from regraft.grow.resembling import resembling
from regraft.lineage import Store
from regraft.tune.keeping import PROBE
from small import tickets


def written(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


@pytest.fixture
def parent(data, model, tmp_path):
    return rg.tune(data, model=model, store=tmp_path / "store", strategy="statistics(width=40)", name="mine")


def test_a_text_with_another_full_stop_stays_a_test(parent, tmp_path):
    memory = Memory(parent.store, parent.record)
    tested = memory.probes[0][1].split("test", parent.classes, tmp_path).inputs
    fresh = [text for text, label in tickets() if label not in parent.classes][:10]
    rows = [(f"{text} !!", "new") for text in tested[:4]] + [(text, "new") for text in fresh]
    news = news_of(
        load_more(written(tmp_path / "more.csv", rows), parent.classes, task="text-classification", test_fraction=0.0, valid_fraction=0.0),
        memory,
    )
    assert not {f"{text} !!" for text in tested} & set(news.dataset.splits["train"].inputs)
    assert len(news.dataset.splits["test"]) == 4
    assert any(said.startswith("4 examples to learn from nearly repeat a test example") for said in news.said)
    with pytest.raises(DataError, match="no example of it may be learned"):
        rows = [(f"{text} !!", "new") for text in tested[:4]] + [(text, parent.classes[0]) for text in fresh]
        news_of(
            load_more(
                written(tmp_path / "all.csv", rows), parent.classes, task="text-classification", test_fraction=0.0, valid_fraction=0.0
            ),
            memory,
        )


def test_a_picture_saved_again_is_found(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
    for number in range(6):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((64, 64), Image.Resampling.BICUBIC)
        small.save(tmp_path / "old" / f"{number}.png")
        small.save(tmp_path / "new" / f"{number}.jpg", quality=92) if number < 2 else None
        other = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((64, 64), Image.Resampling.BICUBIC)
        other.save(tmp_path / "new" / f"other{number}.png")
    memory = Memory(Store(tmp_path / "store"), None)
    kept, new = (pictures(tmp_path / folder, tmp_path) for folder in ("old", "new"))
    from regraft.tune.kept import examples

    table = examples(kept, ("a",), np.arange(len(kept)), kind="image")
    monkeypatch.setattr(Memory, "probes", [({"what": PROBE}, table)])
    monkeypatch.setattr(Memory, "manifest", {"input": {"kind": "image"}})
    for _ in ("first", "from what was kept"):
        found = resembling(new, memory)
        assert [name.rsplit("/", 1)[-1] for name, near in zip(new.inputs, found, strict=True) if near] == ["0.jpg", "1.jpg"]


def pictures(folder, beside):
    table = written(beside / f"{folder.name}.csv", [(str(path), "a") for path in sorted(folder.iterdir())])
    from regraft.data.load import load_known

    return load_known(table, ("a",), task="image-classification", input="text", target="label").splits["test"]
