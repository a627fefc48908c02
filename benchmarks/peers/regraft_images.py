"""Regraft on image files: the head and the last stage, or everything, one JSON line. Cold: the cache lies in a folder that goes with the process."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from regraft.cache import Cache
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.plan.strategy import parse
from regraft.train.fit import fit
from regraft.tune import evidence
from regraft.tune.job import open_data, open_job
from regraft.tune.request import Request
from report import finish

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data")
parser.add_argument("model")
parser.add_argument("size", type=int)
parser.add_argument("epochs", type=int)
parser.add_argument("--fresh", action="store_true")
parser.add_argument("--full", action="store_true")
args = parser.parse_args()
given = {"valid_fraction": 0.0, "input_size": args.size}
request = Request(data=args.data, strategy="scratch" if args.fresh else None, settings=given)
job = open_job(request, open_data(request), args.model)
settings = Settings(epochs=args.epochs, lr=1e-3, batch_size=32, input_size=args.size, precision="fp32",
                    batch_norm="train" if args.full else "frozen")  # fmt: skip
strategy = parse("full" if args.full else "top(n=1)")
plan = Plan(task=job.dataset.task, model=job.reference, strategy=strategy.text, stages=(*job.outline.stage_names, "head"),
            phases=strategy(job.outline), settings=settings)  # fmt: skip
network = job.network(dropout=0.0, seed=0, fresh=args.fresh)
with tempfile.TemporaryDirectory() as folder:
    data = {"train": job.encoded("train"), "valid": None}
    history = fit(network, plan, task=job.task, data=data, folder=Path(folder), cache=Cache(Path(folder) / "cache", 20 << 30))
scores, test = evidence.logits(network, job.encoded("test")), job.encoded("test")
finish((scores.argmax(1) == test.targets).mean(), train_s=history.train_s)
