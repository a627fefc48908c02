"""A run killed at any instant ends, resumed, with the weights of a run that was never stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from train_hosts import IMAGE, TEXT, full, image_network, images, phase, plan, same, text_network, texts, weights

from regraft.cache import Cache
from regraft.errors import DamagedError, Interrupted, PlanError, RequestError, StorageError
from regraft.plan.cell import Cell
from regraft.surgery.specs import Lora
from regraft.train import checkpoint
from regraft.train.fit import fit


class Killed(Exception): ...


class KillAfter:
    """Raises after so many steps of the process, as a crash would."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_phase(self, start) -> None: ...

    def on_epoch(self, record) -> None: ...

    def on_step(self, record) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def phases_of_a_text_run(network):
    """Head alone, then the top with a decayed rate and the head, then LoRA below beside it."""
    lora = Cell(trainable=True, only="edit", edit=Lora(rank=2, where="linear"), lr_scale=2.0)
    return [
        phase("probe", [False, False, False, False, True], epochs_fraction=0.25),
        phase("top", [False, False, False, Cell(trainable=True, lr_scale=0.5), True], epochs_fraction=0.35),
        phase("lora", [False, False, lora, True, True], epochs_fraction=0.4),
    ]


def text_case():
    network = text_network()
    return (
        network,
        plan(network, phases_of_a_text_run(network), epochs=5.0, ema=0.9, patience=9),
        TEXT,
        {"train": texts(30), "valid": texts(12, seed=1)},
    )


def image_case():
    network = image_network()
    chosen = full(
        network,
        epochs=4.0,
        label_smoothing=0.1,
        augment=(("flip", 0.5), ("mixup", 0.4)),
        optimizer="sgd",
        lr=0.05,
        accumulate=2,
        batch_size=4,
    )
    return network, chosen, IMAGE, {"train": images(30), "valid": images(12, seed=1)}


@pytest.mark.parametrize("case", [text_case, image_case])
@pytest.mark.parametrize("every_s", [0.0, 1e9], ids=["checkpoint each step", "checkpoint each phase"])
def test_killed_again_and_again_it_ends_bit_identical(tmp_path, monkeypatch, case, every_s):
    network, chosen, task, data = case()
    history = fit(network, chosen, task, data, folder=tmp_path / "whole")
    monkeypatch.setattr(checkpoint, "EVERY_S", every_s)
    monkeypatch.setattr(checkpoint, "COST_LIMIT", float("inf") if every_s == 0.0 else 1e-9)
    rng, finished, kills = np.random.default_rng(5), None, 0
    while finished is None:
        again, chosen, task, data = case()
        steps = int(rng.integers(1, 8)) if every_s == 0.0 else 3 + 2 * kills  # without checkpoints it has to get further to get anywhere
        try:
            finished = fit(again, chosen, task, data, folder=tmp_path / "killed", observer=KillAfter(steps), resume=True)
        except Killed:
            kills += 1
    assert kills >= 2
    assert same(weights(again), weights(network))
    assert [e.valid for e in finished.epochs] == [e.valid for e in history.epochs]
    assert finished.drift == history.drift and finished.edits == history.edits and finished.best == history.best


def test_a_process_that_gets_sigkill_resumes_bit_identical(tmp_path):
    script = f"""
import sys, time; sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_train_resume import text_case
from regraft.train import checkpoint
from regraft.train.fit import fit
checkpoint.EVERY_S, checkpoint.COST_LIMIT = 0.0, float("inf")
class Slow:
    def on_phase(self, start): ...
    def on_epoch(self, record): ...
    def on_step(self, record): print("step", flush=True); time.sleep(0.05)
network, plan, task, data = text_case()
fit(network, plan, task, data, folder=Path({str(tmp_path)!r}) / "killed", observer=Slow())
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    for _ in range(7):
        assert process.stdout.readline() == b"step\n"
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    network, chosen, task, data = text_case()
    fit(network, chosen, task, data, folder=tmp_path / "whole")
    again, *_ = text_case()
    fit(again, chosen, task, data, folder=tmp_path / "killed", resume=True)
    assert same(weights(again), weights(network))


def test_a_finished_run_resumes_to_its_end(tmp_path):
    network, chosen, task, data = text_case()
    fit(network, chosen, task, data, folder=tmp_path)
    again, *_ = text_case()
    history = fit(again, chosen, task, data, folder=tmp_path, observer=KillAfter(1), resume=True)
    assert same(weights(again), weights(network))
    assert [edit["stage"] for edit in history.edits] == ["blocks.1"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_saves_and_says_how_to_resume(tmp_path, number):
    class Signalling(KillAfter):
        def on_step(self, record) -> None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), number)

    network, chosen, task, data = text_case()
    fit(network, chosen, task, data, folder=tmp_path / "whole")
    again, *_ = text_case()
    before = signal.getsignal(number)
    with pytest.raises(
        Interrupted,
        match=rf"{number.name} after step \d+ of \d+ in phase '\w+'; it was saved\ntry:   the same command with --resume goes on from there",
    ):
        fit(again, chosen, task, data, folder=tmp_path / "stopped", observer=Signalling(6))
    assert signal.getsignal(number) is before
    again, *_ = text_case()
    fit(again, chosen, task, data, folder=tmp_path / "stopped", resume=True)
    assert same(weights(again), weights(network))


def test_outside_the_main_thread_it_trains_without_listening(tmp_path):
    network, data = text_network(), {"train": texts(16), "valid": None}
    thread = threading.Thread(target=fit, args=(network, full(network, epochs=1.0), TEXT, data), kwargs={"folder": tmp_path})
    thread.start()
    thread.join()
    assert (tmp_path / checkpoint.LAST).exists()


def test_a_run_of_another_plan_or_other_data_is_not_resumed(tmp_path):
    network, data = text_network(), {"train": texts(16), "valid": None}
    fit(network, full(network, epochs=1.0), TEXT, data, folder=tmp_path)
    with pytest.raises(RequestError, match=r"started with another plan .*\ntry:   the command it was started with, or a new --name"):
        fit(text_network(), full(network, epochs=2.0), TEXT, data, folder=tmp_path, resume=True)
    with pytest.raises(RequestError, match="started with another data"):
        fit(text_network(), full(network, epochs=1.0), TEXT, {"train": texts(17), "valid": None}, folder=tmp_path, resume=True)


def test_without_resume_a_run_starts_anew(tmp_path):
    network, data = text_network(), {"train": texts(16), "valid": None}
    fit(network, full(network, epochs=2.0), TEXT, data, folder=tmp_path)
    again = text_network()
    history = fit(again, full(network, epochs=2.0), TEXT, data, folder=tmp_path)
    assert len(history.epochs) == 2 and same(weights(again), weights(network))


def test_a_damaged_checkpoint_is_passed_over_for_a_sound_one_and_named_where_there_is_none(tmp_path):
    points = checkpoint.Checkpoints(tmp_path, {"plan": "p"})
    points.save(checkpoint.GOOD, {"position": [0, 0, 4], "x": torch.ones(3)})
    points.save(checkpoint.LAST, {"position": [0, 0, 6]})
    assert points.latest()["position"] == [0, 0, 6]
    last = tmp_path / checkpoint.LAST
    last.write_bytes(last.read_bytes()[:100])
    assert points.latest()["position"] == [0, 0, 4]
    (tmp_path / checkpoint.GOOD).write_bytes(b"")
    with pytest.raises(DamagedError, match="it is cut off or overwritten\ntry:   the same command without --resume"):
        points.latest()


def test_a_state_after_a_recovery_is_further_than_any_before_it(tmp_path):
    points = checkpoint.Checkpoints(tmp_path, {})
    points.save(checkpoint.GOOD, {"position": [1, 0, 4]})
    points.save(checkpoint.LAST, {"position": [0, 0, 9]})
    assert points.latest()["position"] == [1, 0, 4]


def test_writing_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    points = checkpoint.Checkpoints(tmp_path, {})
    points.save(checkpoint.LAST, {"position": [0, 0, 1]})
    assert not points.is_due(epoch_ended=True) or points._cost / checkpoint.COST_LIMIT < 1e-3
    points._cost, points._written = 0.01, time.perf_counter() - 0.6
    assert points.is_due(epoch_ended=True) and not points.is_due(epoch_ended=False)
    points._written -= checkpoint.EVERY_S
    assert points.is_due(epoch_ended=False)


def test_a_checkpoint_that_cannot_be_written_says_so_and_leaves_nothing_behind(tmp_path):
    points = checkpoint.Checkpoints(tmp_path, {})
    (tmp_path / checkpoint.LAST / "in the way").mkdir(parents=True)
    with pytest.raises(
        StorageError, match=r"asked: write .*last\.pt\nfound: .*\ntry:   free some disk space, then the same command with --resume"
    ):
        points.save(checkpoint.LAST, {"position": [0, 0, 1]})
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.LAST]


def test_an_empty_training_split_is_refused(tmp_path):
    network = text_network()
    with pytest.raises(PlanError, match="the training split is empty"):
        fit(network, full(network), TEXT, {"train": texts(0), "valid": None}, folder=tmp_path)


def test_a_resumed_run_keeps_or_computes_what_the_run_that_began_did(tmp_path):
    """Which of the two is cheaper is measured anew each time; the answer must not change within one run."""
    network = text_network()
    made = plan(network, [phase("top", [False, False, False, True, True])], epochs=2.0)
    live = replace(made, phases=tuple(replace(one, live="reading would take longer") for one in made.phases))
    data = {"train": texts(30), "valid": None}
    cache = Cache(tmp_path / "cache", 1 << 30)
    with pytest.raises(Killed):
        fit(network, live, TEXT, data, folder=tmp_path / "run", cache=cache, observer=KillAfter(6))
    fit(text_network(), made, TEXT, data, folder=tmp_path / "run", cache=cache, resume=True)
    assert not any(path.is_file() for path in cache.folder.rglob("*"))
    fit(text_network(), made, TEXT, data, folder=tmp_path / "other", cache=cache)
    assert any(path.is_file() for path in cache.folder.rglob("*"))


def test_a_run_stopped_while_a_head_is_solved_goes_on_behind_it(tmp_path, monkeypatch):
    solve = sys.modules["regraft.train.fit"].closed_form.solve
    ends = []
    for name, stops in (("whole", False), ("cut", True)):
        network = text_network()
        solved = replace(phase("probe", [False, False, False, False, True], epochs_fraction=0.0), solver="closed_form")
        chosen = plan(network, [solved, phase("all", [True] * 5)], epochs=3.0)
        data = {"train": texts(30), "valid": texts(12, seed=1)}

        def solve_and_stop(*args):
            solve(*args)
            os.kill(os.getpid(), signal.SIGINT)

        if stops:
            with monkeypatch.context() as patch, pytest.raises(Interrupted):
                patch.setattr(sys.modules["regraft.train.fit"].closed_form, "solve", solve_and_stop)
                fit(network, chosen, TEXT, data, folder=tmp_path / name)
            network = text_network()
        fit(network, chosen, TEXT, data, folder=tmp_path / name, resume=stops)
        ends.append(weights(network))
    assert same(*ends)
