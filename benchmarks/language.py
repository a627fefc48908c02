"""Language models: instructions and preferences on the bundled decoder (issue 5).

    python benchmarks/language.py DATA OUT [--only instructions,packing,preferences,masks] [--seeds 0,1,2] [--epochs 2]

``instructions``: alpaca_en, held-out perplexity of answers before any tuning, after full tuning and after LoRA. ``packing``: processor time of one epoch, padded in random batches (as a
plain loop does), padded in batches by length (what Regraft does otherwise), packed. ``preferences``: dpo_en, accuracy and perplexity on held-out pairs. ``masks``: chat templates
that spoil what is learned, and what is said of them. Rates are chosen on valid with seed 0; the other seeds follow, as many as the minutes allow. A run that was
interrupted goes on. Prints one JSON line for each figure.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import regraft as rg
from regraft import lineage
from regraft.errors import RegraftError
from regraft.serve import rebuild
from regraft.train.fit import fit
from regraft.train.history import PhaseStart, Silent
from regraft.trunk.catalogue import decoder_folder
from regraft.tune import evidence
from regraft.tune.conduct import requested
from regraft.tune.job import Job, open_data, open_job

MODEL = "bundled:decoder"
FULL: dict[str, Any] = {"strategy": "full", "batch_size": 8, "packing": True, "refit": False}
LORA: dict[str, Any] = {**FULL, "strategy": "lora(rank=16, alpha=32)"}
PAIRS: dict[str, Any] = {"strategy": "top(n=2)", "batch_size": 8, "refit": False, "objective": "dpo(beta=0.1, sft=0.1)"}
WAYS = {"padded, random batches": 16, "padded, batches by length": 16, "packed": 8}
"""Examples, or packed rows, of a step: of about two examples each, so that a step learns about as much in all three."""
TIMED = 360
SPOILT = {
    "leaves the answers out": "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
    "writes every turn anew": "{{ messages | length }}{% for m in messages %}{{ m.content | upper if m.role == 'assistant' else m.content }}\n{% endfor %}",
    "knows no system turn": "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system here') }}{% endif %}{{ m.content }}{% endfor %}",
}


def said(**row: Any) -> None:
    print(json.dumps(row), flush=True)


def job_of(data: Path) -> Job:
    request = requested(data, None, {"model": MODEL})
    return open_job(request, open_data(request), MODEL)


def tuned(data: Path, store: Path, name: str, **options: Any) -> Any:
    began = time.process_time()
    made = rg.tune(data, store=store, name=name, model=MODEL, resume=True, **options)
    said(
        run=name,
        processor_s=round(time.process_time() - began, 1),
        metrics=made.metrics,
        trained=made.document["cost"]["trainable_parameters"],
    )
    return made


def instructions(data: Path, store: Path, seeds: list[int], epochs: float, rates: dict[str, list[float]]) -> None:
    file = data / "llm" / "alpaca_en_demo.json"
    job = job_of(file)
    encoded, start = job.encoded("test"), job.network(dropout=0.0, seed=0)
    answers = job.task.answers(evidence.logits(start, encoded, task=job.task))
    before = job.task.document(answers, encoded.targets, ())["metrics"]["perplexity"]
    said(what="perplexity before", **before)
    best, values = {}, {}
    for name, options in (("full", FULL), ("lora", LORA)):
        tried = {lr: tuned(file, store, f"{name}-{lr:g}", lr=lr, seed=0, epochs=epochs, **options) for lr in rates[name]}
        best[name] = min(tried, key=lambda lr: tried[lr].metrics["valid"]["perplexity"]["value"])
        values[name] = [tried[best[name]].metrics["test"]["perplexity"]["value"]]
        said(what="an answer", how=name, text=tried[best[name]].predict(["Give three tips for staying healthy."])[0]["answer"])
    after(best, values, before["value"])
    for seed in seeds:
        for name, options in (("full", FULL), ("lora", LORA)) if seed else ():
            made = tuned(file, store, f"{name}-{best[name]:g}-{seed}", lr=best[name], seed=seed, epochs=epochs, **options)
            values[name].append(made.metrics["test"]["perplexity"]["value"])
        after(best, values, before["value"])


def after(best: dict[str, float], values: dict[str, list[float]], before: float) -> None:
    means = {name: float(np.mean(found)) for name, found in values.items()}
    said(what="perplexity after", lr=best, values=values, means=means, falls={name: 1 - mean / before for name, mean in means.items()},
         lora_above_full=means["lora"] / means["full"] - 1)  # fmt: skip


class Clock(Silent):
    """Processor time since the phase began."""

    def on_phase(self, phase: PhaseStart) -> None:
        self.began = time.process_time()

    @property
    def seconds(self) -> float:
        return time.process_time() - self.began


def packing(data: Path, repeats: int) -> None:
    """One epoch of full training on the training part of ``TIMED`` conversations: processor time of the loop alone, without preflight and evaluation."""
    rows = json.loads((data / "llm" / "alpaca_en_demo.json").read_text())
    some = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))[:TIMED]]
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "some.json")
        file.write_text(json.dumps(some))
        job = job_of(file)
        for name, size in list(WAYS.items()) * repeats:
            options = {
                "model": MODEL,
                "epochs": 1.0,
                "lr": 1e-3,
                "precision": "fp32",
                "cache": False,
                "batch_size": size,
                "packing": name == "packed",
            }
            plan, clock = rg.plan(requested(file, "full", options)), Clock()
            train = job.learned("train", plan.settings)
            if name == "padded, random batches":
                train = train.subset(np.arange(len(train)))
                train.lengths = None  # type: ignore[assignment]  # nobody knows which rows are of one length
            network, splits = job.network(dropout=0.0, seed=0), {"train": train, "valid": None}
            fit(network, plan, job.fitting(train), splits, folder=Path(folder, "run"), observer=clock)
            seconds[name].append(clock.seconds)
            said(what="packing", how=name, rows=len(train), processor_s=round(seconds[name][-1], 1))
    packed = np.median(seconds["packed"])
    said(what="packing", times_packed={name: round(float(np.median(found) / packed), 3) for name, found in seconds.items()})


def preferences(data: Path, store: Path, seeds: list[int], epochs: float, rates: list[float]) -> None:
    file = data / "llm" / "dpo_en_demo.json"
    made = {lr: tuned(file, store, f"dpo-{lr:g}", lr=lr, seed=0, epochs=epochs, **PAIRS) for lr in rates}
    job, start = job_of(file), rebuild.start(lineage.Store.locate(store), made[rates[0]].record)
    found = {split: job.task.answers(evidence.logits(start, job.encoded(split), task=job.task)) for split in ("valid", "test")}
    before = {split: float(np.exp(-rows[:, 0].sum() / rows[:, 2].sum())) for split, rows in found.items()}
    said(what="perplexity of chosen answers before", **before)
    fitting = [lr for lr in made if made[lr].metrics["valid"]["perplexity"]["value"] <= 1.1 * before["valid"]] or list(made)
    best = max(fitting, key=lambda lr: made[lr].metrics["valid"]["preference_accuracy"]["value"])
    runs = [made[best]]
    for seed in [0, *filter(None, seeds)]:
        if seed:
            runs.append(tuned(file, store, f"dpo-{best:g}-{seed}", lr=best, seed=seed, epochs=epochs, **PAIRS))
        accuracies, costs = ([run.metrics["test"][name]["value"] for run in runs] for name in ("preference_accuracy", "perplexity"))
        said(what="preferences", lr=best, accuracies=accuracies, mean=float(np.mean(accuracies)), perplexities=costs,
             rises=float(np.mean(costs)) / before["test"] - 1)  # fmt: skip


def masks(data: Path, store: Path) -> None:
    """The decoder with chat templates that spoil the mask of what is learned, on conversations that begin with a system turn."""
    rows = [{**row, "system": "Be brief."} for row in json.loads((data / "llm" / "alpaca_en_demo.json").read_text())[:100]]
    for number, (what, template) in enumerate(SPOILT.items()):
        with tempfile.TemporaryDirectory() as folder:
            model, file = Path(folder, "model"), Path(folder, "talks.json")
            shutil.copytree(decoder_folder(), model)
            (model / "chat_template.jinja").write_text(template)
            file.write_text(json.dumps(rows))
            try:
                rg.tune(file, store=store, name=f"spoilt-{number}", model=f"file:{model}", **FULL)
                said(what="template", spoilt=what, refused=False)
            except RegraftError as error:
                said(what="template", spoilt=what, refused=True, error=type(error).__name__, found=error.found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="instructions,packing,preferences,masks")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--rows", type=int, default=8, help="packed rows of 512 tokens in a step on instructions")
    parser.add_argument("--repeats", type=int, default=3, help="of the epochs that are timed")
    parser.add_argument("--low-rank", default=LORA["strategy"], help="what stands beside full tuning on instructions")
    parser.add_argument("--preferring", default=PAIRS["strategy"], help="what moves for preferences")
    for name, rates in (("full", "1e-3,3e-3"), ("lora", "3e-3,1e-2"), ("pairs", "3e-4")):
        parser.add_argument(f"--{name}", default=rates, help="learning rates, of which valid chooses")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    numbers = [int(seed) for seed in asked.seeds.split(",")]
    FULL["batch_size"] = LORA["batch_size"] = asked.rows
    LORA["strategy"], PAIRS["strategy"] = asked.low_rank, asked.preferring
    rates = {name: [float(rate) for rate in getattr(asked, name).split(",")] for name in ("full", "lora", "pairs")}
    parts = {
        "instructions": lambda: instructions(asked.data, asked.out, numbers, asked.epochs, rates),
        "packing": lambda: packing(asked.data, asked.repeats),
        "preferences": lambda: preferences(asked.data, asked.out, numbers, asked.epochs, rates["pairs"]),
        "masks": lambda: masks(asked.data, asked.out),
    }
    for part in asked.only.split(","):
        parts[part]()
