"""Ctrl-C and SIGTERM: the step in progress is finished, the run saved, and how to resume is said."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from regraft.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class StopRequest:
    """``signal``: the name of the signal that asked, empty while none has."""

    signal: str = ""

    def __bool__(self) -> bool:
        return bool(self.signal)


def interrupted(request: StopRequest, done: str) -> Interrupted:
    """The error to raise once the run is saved; ``done``: what was finished last."""
    return Interrupted(
        "finish the run", f"{request.signal or 'a signal'} after {done}; it was saved", "the same command with --resume goes on from there"
    )


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Turn the first signal into a request to stop; a second one has its usual effect at once.

    Only the main thread can listen; elsewhere the request is never made and the surrounding program decides.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        request.signal = signal.Signals(number).name
        signal.signal(number, before[signal.Signals(number)])

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
