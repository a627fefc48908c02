"""Several processes on one store: one computes what is missing, the others wait and read it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np

from regraft.cache.locks import turn
from regraft.cache.pooled import pooled_features
from regraft.cache.store import Cache
from regraft.testing import images, toy_network


def test_the_next_one_begins_when_the_first_is_done(tmp_path: Path) -> None:
    seen: list[str] = []
    waits = threading.Event()

    def second() -> None:
        waits.set()
        with turn(tmp_path / "turn"):
            seen.append("second")

    with turn(tmp_path / "turn"):
        thread = threading.Thread(target=second)
        thread.start()
        waits.wait(10)
        thread.join(0.1)
        seen.append("first")
    thread.join(10)
    assert seen == ["first", "second"]
    assert not list(tmp_path.iterdir())


def test_who_dies_in_its_turn_holds_nobody_up(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        with turn(tmp_path / "turn"):
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "turn").exists()
    with turn(tmp_path / "turn"):
        pass
    assert not list(tmp_path.iterdir())


def test_where_no_file_can_be_made_nobody_waits(tmp_path: Path) -> None:
    with turn(tmp_path / "missing" / "turn"):
        assert not list(tmp_path.iterdir())


def test_features_that_several_want_at_once_are_computed_once(tmp_path: Path) -> None:
    data, passes, found = images(80), [], {}
    networks = [toy_network() for _ in range(3)]

    def asks(name: int) -> None:
        cache = Cache(tmp_path, 1 << 20)
        found[name] = pooled_features(networks[name], data, cache=cache, work=lambda done, total: passes.append(name))
        cache.close()

    threads = [threading.Thread(target=asks, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 3 and len(set(passes)) == 1, "one of them computed"
    assert all(np.array_equal(found[0], other) for other in found.values())
    assert all(path.name.isalnum() for path in tmp_path.iterdir())
