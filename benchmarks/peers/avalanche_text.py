"""Avalanche on classes that come in steps: its strategies on frozen features, or on a BERT of which the top blocks train. In an environment of its own
(``pip install avalanche-lib transformers``).

    avalanche_text.py DATA SETTINGS --on val [--model FOLDER --top 2]

DATA        a folder with train.npz, val.npz and test.npz: ``inputs`` (n, width) float32 features or, with ``--model``, (n, length) int64 token ids, 0 where a
            text has ended; ``targets`` (n,) int64, numbered in the order in which the classes come
SETTINGS    a file with a JSON object to a line, each one run: method, lr (of the head: ``head_lr``, where it has one of its own), epochs, seed, batch_size,
            and what the method takes

Prints a JSON row for each: the settings, processor seconds of learning step by step, accuracy over the classes so far after each, and what was answered at
the end. Measuring, reading and importing are not in the seconds. ``joint`` sees everything at once and has one step.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

STEPS = 5
READ = 256
"""Rows that are answered at a time."""
Split = tuple[Tensor, Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--on", nargs="+", default=["val"])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--last", action="store_true", help="measure after the last step alone")
    parser.add_argument(
        "--going", type=Path, help="a file that holds the run under way after each step, so that one that was killed goes on"
    )
    parser.add_argument("--top", type=int, default=2, help="so many of the model's blocks train, those below are frozen")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")  # of its own deprecated calls, and of solvers that none of these needs
    splits = {name: read(args.data / f"{name}.npz") for name in ("train", *args.on)}
    parts = experiences(*splits["train"])
    for line in args.settings.read_text().splitlines():
        settings = json.loads(line)
        torch.manual_seed(settings["seed"])
        network = Tuned(args.model, args.top) if args.model else head(splits["train"][0].shape[1], settings.get("hidden", 0))
        learner, asked = strategy(network, settings), {name: splits[name] for name in args.on}
        row = learned(
            learner,
            [parts] if settings["method"] == "joint" else [[part] for part in parts],
            asked,
            last=args.last,
            going=Going(args.going, settings),
        )
        sys.stdout.write(json.dumps({"settings": settings, **row}) + "\n")
        sys.stdout.flush()


def read(path: Path) -> Split:
    with np.load(path) as held:
        return torch.from_numpy(held["inputs"]), torch.from_numpy(held["targets"])


def experiences(inputs: Tensor, targets: Tensor) -> list[Any]:
    from avalanche.benchmarks import class_incremental_benchmark
    from torch.utils.data import TensorDataset

    rows = TensorDataset(inputs, targets)
    rows.targets = targets.tolist()  # type: ignore[attr-defined]
    order = list(range(int(targets.max()) + 1))
    return list(class_incremental_benchmark({"train": rows}, class_order=order, num_experiences=STEPS).train_stream)


def head(width: int, hidden: int) -> nn.Module:
    """Linear, or over one hidden layer; it grows with the classes."""
    from avalanche.models import IncrementalClassifier

    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), IncrementalClassifier(hidden)) if hidden else IncrementalClassifier(width)


class Tuned(nn.Module):
    """Token ids -> logits of a head that grows, over the mean of the last hidden states. The frozen blocks are no part of it, so that EWC does not
    weigh what cannot move."""

    def __init__(self, folder: Path, top: int) -> None:
        from transformers import AutoModel

        super().__init__()
        host = AutoModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False).eval()
        layers = list(host.encoder.layer)
        self.frozen = [part.requires_grad_(False) for part in (host.embeddings, *layers[:-top])]
        self.above = nn.ModuleList(layers[-top:])
        self.head = head(host.config.hidden_size, 0)

    def forward(self, ids: Tensor) -> Tensor:
        ids = ids[:, : int((ids != 0).sum(dim=1).max())]
        shown = ids != 0
        seen = shown[:, None, None, :]
        with torch.no_grad():
            hidden = self.frozen[0](ids)
            for layer in self.frozen[1:]:
                hidden = layer(hidden, seen)
        for layer in self.above:
            hidden = layer(hidden, seen)
        weights = shown[:, :, None].to(hidden)
        return self.head((hidden * weights).sum(dim=1) / weights.sum(dim=1))


def strategy(network: nn.Module, settings: dict[str, Any]) -> Any:
    from avalanche.training import supervised

    own = {name: settings[name] for name in OWN.get(settings["method"], ())}
    common = {"criterion": nn.CrossEntropyLoss(), "train_mb_size": settings["batch_size"], "train_epochs": settings["epochs"],
              "eval_mb_size": READ, "evaluator": None, "device": "cpu"}  # fmt: skip
    if settings["method"] == "slda":
        return supervised.StreamingLDA(
            slda_model=nn.Identity(), input_size=settings["width"], num_classes=settings["classes"], **own, **common
        )
    plugins = [buffered(own)] if settings["method"] == "replay" else []
    kind = supervised.Naive if plugins else getattr(supervised, CALLED[settings["method"]])
    return kind(model=network, optimizer=stepped(network, settings), plugins=plugins, **({} if plugins else own), **common)


def stepped(network: nn.Module, settings: dict[str, Any]) -> torch.optim.Optimizer:
    groups: Any = network.parameters()
    if "head_lr" in settings:
        assert isinstance(network, Tuned)
        groups = [{"params": network.above.parameters()}, {"params": network.head.parameters(), "lr": settings["head_lr"]}]
    return torch.optim.AdamW(groups, lr=settings["lr"], weight_decay=0.0)


CALLED = {"naive": "Naive", "ewc": "EWC", "lwf": "LwF", "cumulative": "Cumulative", "joint": "JointTraining"}
OWN = {"ewc": ("ewc_lambda",), "lwf": ("alpha", "temperature"), "replay": ("mem_size", "batch_size_mem"), "slda": ("shrinkage_param",)}


def buffered(own: dict[str, Any]) -> Any:
    """Avalanche's replay with the size of the batch from memory, which its ``Replay`` strategy does not take."""
    from avalanche.training.plugins import ReplayPlugin

    return ReplayPlugin(**own)


class Going:
    """The run of ``settings`` under way, in ``path``, or nowhere."""

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self.path, self.settings = path, settings

    def held(self, learner: Any) -> tuple[Any, list[float]]:
        """The learner and its seconds of each step so far."""
        if self.path is not None and self.path.exists():
            held = torch.load(self.path, weights_only=False)
            if held["settings"] == self.settings:
                return held["learner"], held["spent"]
        return learner, []

    def hold(self, learner: Any, spent: list[float]) -> None:
        if self.path is not None:
            part = self.path.with_suffix(".part")
            torch.save({"settings": self.settings, "learner": learner, "spent": spent}, part)
            part.replace(self.path)


def learned(learner: Any, steps: list[list[Any]], splits: dict[str, Split], *, last: bool, going: Going) -> dict[str, Any]:
    """``steps``: the experiences of each. ``last``: measured after the last one alone."""
    so_far, known = [], 0
    learner, spent = going.held(learner)
    for number, parts in enumerate(steps, 1):
        known = max(known, *(max(part.classes_in_this_experience) + 1 for part in parts))
        if number > len(spent):
            began = time.process_time()
            learner.train(parts, num_workers=0)
            spent.append(round(time.process_time() - began, 3))
            going.hold(learner, spent)
        if last and number < len(steps):
            continue
        answers = {name: answered(learner, inputs[targets < known], known) for name, (inputs, targets) in splits.items()}
        so_far.append({name: round(share(answers[name], targets[targets < known]), 5) for name, (_, targets) in splits.items()})
    return {"processor_s": spent, "so_far": so_far, "answers": {name: found.tolist() for name, found in answers.items()}}


@torch.no_grad()
def answered(learner: Any, inputs: Tensor, known: int) -> Tensor:
    """The class of each row, among those ``known``."""
    network = learner.model.eval()
    found = [network(rows) for rows in inputs.split(READ)]
    if hasattr(learner, "predict"):  # streaming LDA classifies outside of its model
        found = [learner.predict(rows) for rows in found]
    return torch.cat(found)[:, :known].argmax(dim=1)


def share(answers: Tensor, targets: Tensor) -> float:
    return float((answers == targets).double().mean())


if __name__ == "__main__":
    main()
