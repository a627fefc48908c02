"""The next batch is made by one background thread while the present one is being learned from."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(make: Callable[[int], T], start: int, stop: int) -> Generator[T, None, None]:
    """``make(start) ... make(stop - 1)`` in order, each begun while the one before is in use. Errors arrive where they belong."""
    if start >= stop:
        return
    with ThreadPoolExecutor(1, "regraft-ahead") as pool:
        coming = pool.submit(make, start)
        for index in range(start, stop):
            present = coming.result()
            if index + 1 < stop:
                coming = pool.submit(make, index + 1)
            yield present
