"""``--profile``: a trace of a bounded number of steps that Perfetto reads, and a document that says where it lies."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch

import regraft as rg
from regraft.train.history import PhaseStart, StepRecord
from regraft.tune.profile import WARM, Profiled

PHASE = PhaseStart(index=0, name="all", solver="gradient", steps=40, epochs=1.0, boundary=0, cached=False, trainable_parameters=1)


def events(path: Path) -> list[dict]:
    with gzip.open(path, "rt") as file:
        return json.load(file)["traceEvents"]


def steps(watch: Profiled, count: int) -> None:
    for done in range(1, count + 1):
        torch.ones(4, 4) @ torch.ones(4, 4)
        watch.on_step(StepRecord(phase=0, step=done, epoch=0.1, loss=1.0, lr=0.1, seconds=0.1))


def test_only_so_many_steps_are_recorded(tmp_path):
    watch = Profiled(None, tmp_path, steps=4)
    watch.on_phase(PHASE)
    steps(watch, 30)
    assert watch.written == tmp_path / "trace.json.gz"
    products = [event for event in events(watch.written) if event.get("name") == "aten::mm"]
    assert len(products) == 4 < 30 - WARM
    watch.on_phase(PHASE)
    steps(watch, 5)
    assert len([event for event in events(watch.written) if event.get("name") == "aten::mm"]) == 4, "the first phase alone"


def test_a_short_run_is_recorded_to_its_end_and_one_without_steps_leaves_nothing(tmp_path):
    short = Profiled(None, tmp_path / "short")
    short.on_phase(PHASE)
    steps(short, WARM + 1)
    assert short.written is None
    short.finish()
    assert short.written and events(short.written)
    none = Profiled(None, tmp_path / "none")
    none.finish()
    assert none.written is None and not none.path.exists()


def test_the_document_and_the_report_say_where_the_trace_is(data, model, tmp_path):
    options = {"strategy": "top(n=1)", "epochs": 1.0, "batch_size": 8}
    made = rg.tune(data, model=model, store=tmp_path / "store", profile=True, **options)
    trace = Path(made.document["profile"])
    assert any("AdamW" in event.get("name", "") for event in events(trace))
    assert str(trace) in Path(made.document["report"]).read_text()


def test_a_run_that_takes_no_step_says_that_there_is_no_trace(data, model, tmp_path):
    made = rg.tune(data, model=model, store=tmp_path / "store", profile=True, strategy="linear_probe")
    assert "profile" not in made.document
    assert any("--profile left no trace: no step was taken" in warning for warning in made.document["warnings"])
