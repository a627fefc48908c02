"""What a person sees while a run goes on: a live bar on a terminal, a line an epoch elsewhere, nothing where JSON is asked for."""

from __future__ import annotations

import io
import sys

import pytest

from regraft.cli.progress import Bar, Lines, watcher
from regraft.train.history import EpochRecord, PhaseStart, StepRecord


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """stderr for the rest of a test; set inside of it, where pytest's own capturing has begun."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    return made


def phase(*, epochs: float = 2.0, steps: int = 8) -> PhaseStart:
    return PhaseStart(
        index=0, name="all", solver="gradient", steps=steps, epochs=epochs, boundary=0, cached=False, trainable_parameters=1234
    )


def epoch(number: int, step: int) -> EpochRecord:
    return EpochRecord(phase=0, epoch=number, step=step, loss=0.5, valid={"accuracy": 0.75}, seconds=1.0)


def shown(observer: Lines) -> None:
    observer.on_phase(phase())
    observer.on_step(StepRecord(phase=0, step=4, epoch=1.0, loss=0.625, lr=1e-3, seconds=1.0))
    observer.on_epoch(epoch(1, 4))
    observer.on_epoch(epoch(2, 8))


def test_a_terminal_gets_a_bar_with_loss_rate_and_metric(monkeypatch):
    screen = terminal(monkeypatch)
    observer = watcher()
    assert isinstance(observer, Bar)
    shown(observer)
    observer.on_phase(phase())
    observer.on_step(StepRecord(phase=0, step=2, epoch=0.5, loss=0.25, lr=1e-3, seconds=2.0))
    observer.on_epoch(epoch(2, 8))
    text = screen.getvalue()
    assert "loss 0.625" in text and "lr 0.001" in text and "steps/s" in text and "4/8" in text
    assert "accuracy 0.750" in text.split("loss 0.250")[1].splitlines()[0]
    assert "epoch 1/2  loss 0.5000  valid accuracy 0.7500" in text


def test_elsewhere_there_is_a_line_an_epoch_and_no_bar(capsys):
    observer = watcher()
    shown(observer)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines] == [["phase", "1"], ["epoch", "1/2"], ["epoch", "2/2"]]


def test_beside_json_nothing_is_said(monkeypatch):
    screen = terminal(monkeypatch)
    shown(watcher(quiet=True))
    assert screen.getvalue() == ""


def test_a_phase_shorter_than_an_epoch_reads_well(capsys):
    observer = watcher()
    observer.on_phase(phase(epochs=2 / 3, steps=4))
    observer.on_epoch(epoch(1, 4))
    told = capsys.readouterr().err
    assert "0.667 epochs, 4 steps, 1,234 parameters move" in told and "epoch 1/1" in told
