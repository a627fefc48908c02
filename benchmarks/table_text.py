"""Text and columns together against either alone: German credit data, a good or a bad risk.

    python benchmarks/table_text.py [--data DATA] [--seeds 0 1 2] [--strategy lp_ft --epochs 4 --lr 1e-4] [--out results/table_text.json]

Every row is written out in words for bundled:minilm; its numbers and categories go to the head beside that. One row of output for each contestant and seed: accuracy
on the 200 test rows with its interval, balanced accuracy, log loss; and the paired verdicts of the fused head against the others. Without --strategy the trunk stays
frozen and every head is solved on all 800 training rows, its strength by cross-validation, which is all that a seed changes. With it, fused and text alone are
tuned by that strategy as well. Nothing is chosen on test.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import DATA
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from regraft import tasks
from regraft.cache.pooled import linear_features
from regraft.data.dataset import Dataset
from regraft.data.encode import encode
from regraft.data.fields import Fields, rows_of, texts_of
from regraft.data.load import load
from regraft.evaluate import document, linear
from regraft.evaluate.compare import paired
from regraft.surgery.heads import strip
from regraft.trunk.load import load as load_model
from regraft.trunk.network import Network
from regraft.tune.conduct import tune

MODEL, TASK = "bundled:minilm", "text-table-classification"
SHOWN = ("accuracy", "balanced_accuracy", "log_loss")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, default=DATA / "german_credit")
    asked.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked.add_argument("--strategy")
    asked.add_argument("--epochs", type=float, default=4.0)
    asked.add_argument("--lr", type=float, default=1e-4)
    asked.add_argument("--out", type=Path)
    given = asked.parse_args()
    torch.set_num_threads(1)
    dataset = load(given.data, task=TASK, target="class", valid_fraction=0)
    rows = solved(dataset, given.seeds)
    if given.strategy:
        rows += tuned(given.data, dataset, given)
    if given.out:
        given.out.write_text(json.dumps({"model": MODEL, "task": TASK, "rows": rows}, indent=2) + "\n", encoding="utf-8")


def solved(dataset: Dataset, seeds: list[int]) -> list[dict[str, Any]]:
    """Linear heads on the frozen features, on the columns, and on both."""
    trunk = load_model(MODEL)
    strip(trunk)
    network = Network(trunk, tasks.of(TASK).bound(dataset.facts).head(trunk, len(dataset.classes), 0.0)).eval()
    splits = {name: encode(split, trunk.input, trunk.tokenizer) for name, split in dataset.splits.items()}
    fused = {name: linear_features(network, split) for name, split in splits.items()}
    read = {
        "text and columns": fused,
        "text alone": {name: features[:, : trunk.width] for name, features in fused.items()},
        "columns alone": {name: features[:, trunk.width :] for name, features in fused.items()},
    }
    truth, made = {name: split.targets for name, split in splits.items()}, []
    for seed in seeds:
        answers = {what: solve(features, truth["train"], seed) for what, features in read.items()}
        answers["columns alone, scikit-learn"] = plain_regression(dataset, seed)
        for what, found in answers.items():
            made.append(row(what, seed, found, truth["test"], dataset.classes))
            if what != "text and columns":
                verdict = paired(*(a.argmax(1) == truth["test"] for a in (answers["text and columns"], found)))
                print(f"  text and columns against {what}:", json.dumps(verdict.json()), flush=True)
    return made


def solve(features: dict[str, np.ndarray], targets: np.ndarray, seed: int) -> np.ndarray:
    """(n, k) probabilities on test."""
    found = linear.fit(features["train"], targets, num_classes=int(targets.max()) + 1, seed=seed)
    return tasks.of(TASK).answers(features["test"] @ found.weights.T + found.bias)


def plain_regression(dataset: Dataset, seed: int) -> np.ndarray:
    """Standardised numbers and one-hot categories under a logistic regression, its strength by five folds."""
    import pandas

    fields = Fields.of(dataset.facts).each
    numbers, categories = ([one.name for one in fields if one.kind == kind] for kind in ("number", "category"))
    tables = {name: pandas.DataFrame(rows_of(split.inputs)) for name, split in dataset.splits.items()}
    tables = {name: table.astype(dict.fromkeys(numbers, float)) for name, table in tables.items()}
    columns = make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), categories))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = make_pipeline(columns, LogisticRegressionCV(Cs=10, cv=folds, scoring="neg_log_loss", max_iter=2_000))
    return model.fit(tables["train"], dataset.splits["train"].targets).predict_proba(tables["test"])


def tuned(data: Path, dataset: Dataset, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Whole runs: the fused head, and the same rows as texts alone."""
    made, truth = [], dataset.splits["test"].targets
    options = {"model": MODEL, "strategy": given.strategy, "epochs": given.epochs, "lr": given.lr, "batch_size": 32, "valid_fraction": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts"
        texts.mkdir()
        for name, split in dataset.splits.items():
            with (texts / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                labels = [dataset.classes[target] for target in split.targets]
                csv.writer(file).writerows([("text", "class"), *zip(texts_of(split), labels, strict=True)])
        for seed in given.seeds:
            for what, where, task in (("text and columns", data, TASK), ("text alone", texts, "text-classification")):
                found = tune(
                    str(where),
                    task=task,
                    target="class",
                    store=f"{folder}/store",
                    name=f"{what[:8]}-{len(what)}-{seed}",
                    seed=seed,
                    **options,
                )
                inputs = rows_of(dataset.splits["test"].inputs) if task == TASK else texts_of(dataset.splits["test"])
                made.append(row(f"{what}, {given.strategy}", seed, found.predictor.answers(inputs), truth, dataset.classes))
    return made


def row(what: str, seed: int, answers: np.ndarray, truth: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    metrics = document(answers, truth, classes)["metrics"]
    made = {"contestant": what, "seed": seed, **{name: {k: round(float(v), 4) for k, v in metrics[name].items()} for name in SHOWN}}
    print(json.dumps(made), flush=True)
    return made


if __name__ == "__main__":
    main()
