"""How much of a set of preference pairs can be learned at all: cross-validation of DPO to first order, and of the words of the answers.

    python benchmarks/preference_signal.py DATA/llm/dpo_en_demo.json [--max-length 128] [--stages blocks.3] [--pairs 0]

Of each pair the gradient of log p(chosen) - log p(rejected) in the weights of the decoder is taken once, at the start. Few steps of DPO at a low rate are logistic regression on
these gradients, without intercept, so that ten folds of it cost nothing further: the share of held-back pairs on the right side, by the stages that move, by the metric (as they are; or each
weight by the root of its mean square, about as Adam weighs it) and by the margin (sums over tokens, as DPO has it; or means, as length-normalised variants do). The test split is not read. Prints one JSON line each.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer

from regraft.data.language import REJECTED
from regraft.data.turns import turns_of
from regraft.tune.conduct import requested
from regraft.tune.job import open_data, open_job

MODEL = "bundled:decoder"
SPLITS = ("train", "valid")
STRENGTHS = (100.0, 10.0, 1.0, 0.1)
"""Of the ridge, relative to the mean square of a pair's gradient."""
FOLDS, REPEATS, NEWTON = 10, 3, 12
Matrix = NDArray[np.float64]


def sides(encoded: Any, row: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Of the chosen and of the rejected answer: all tokens, the places that are learned, and the token that follows each."""
    part = slice(encoded.offsets[row], encoded.offsets[row + 1])
    tokens, tags, segments = (np.asarray(of[part], np.int64) for of in (encoded.tokens, encoded.tags, encoded.segments))
    for side in (1, 2):
        own = tags[segments == side]
        said = own if side == 1 else np.where(own <= REJECTED, REJECTED - own, -1)
        yield torch.from_numpy(tokens[segments == side]), torch.from_numpy(np.flatnonzero(said >= 0)), torch.from_numpy(said[said >= 0])


def gradients(network: Any, encoded: Any, rows: int, chosen: list[torch.nn.Parameter]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Of each pair the difference of the gradients of both answers' log probabilities: of sums over the tokens, and of means."""
    for row in range(rows):
        found = []
        for tokens, places, following in sides(encoded, row):
            inputs = {"input_ids": tokens[None], "attention_mask": torch.ones_like(tokens)[None]}
            logits = network.head(network.trunk.features(inputs)[:, places])[0].float()
            said = logits.log_softmax(-1).gather(1, following[:, None]).sum()
            gradient = torch.cat([one.flatten() for one in torch.autograd.grad(said, chosen)])
            found.append((gradient, gradient / len(places)))
        yield found[0][0] - found[1][0], found[0][1] - found[1][1]


def products(differences: list[torch.Tensor]) -> dict[str, Matrix]:
    """(n, n) inner products of the pairs' gradients, scaled to 1 in the mean of the diagonal."""
    table = torch.stack(differences)
    scale = table.square().mean(0).pow(0.25).clamp(min=1e-12)
    made = {"as they are": table @ table.T, "as Adam weighs": (table / scale) @ (table / scale).T}
    return {name: (one / one.diagonal().mean()).double().numpy() for name, one in made.items()}


def fitted(inner: Matrix, strength: float) -> Matrix:
    """(n,) weights of the pairs in a logistic regression in which every pair is a positive example, by Newton's method."""
    weights = np.zeros(len(inner))
    for _ in range(NEWTON):
        right = 1 / (1 + np.exp(-inner @ weights))
        curve = np.maximum(right * (1 - right), 1e-6)
        weights = np.linalg.solve(inner + strength * np.diag(1 / curve), inner @ weights + (1 - right) / curve)
    return weights


def held_out(inner: Matrix, strength: float) -> float:
    """The share of pairs on the right side in the fold that leaves them out."""
    right: list[bool] = []
    for repeat in range(REPEATS):
        order = np.random.default_rng(repeat).permutation(len(inner))
        for fold in range(FOLDS):
            out = order[fold::FOLDS]
            kept = np.setdiff1d(order, out)
            right += (inner[np.ix_(out, kept)] @ fitted(inner[np.ix_(kept, kept)], strength) > 0).tolist()
    return float(np.mean(right))


def words(answers: list[tuple[str, str]]) -> Matrix:
    """The same of what both answers differ in as bags of words and pairs of words."""
    seen = CountVectorizer(min_df=3, ngram_range=(1, 2), token_pattern=r"\w+|[!?*#:\n]").fit([text for pair in answers for text in pair])
    chosen, rejected = (np.log1p(seen.transform([pair[side] for pair in answers]).toarray()) for side in (0, 1))
    inner = (chosen - rejected) @ (chosen - rejected).T
    return np.asarray(inner / np.diagonal(inner).mean(), np.float64)


def said(inner: Matrix, **what: Any) -> None:
    print(json.dumps({**what, "held_out": {strength: round(held_out(inner, strength), 3) for strength in STRENGTHS}}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--stages", default="blocks.3", help="that move, with commas between")
    parser.add_argument("--pairs", type=int, default=0, help="of each split, the first ones; 0: all")
    asked = parser.parse_args()
    request = requested(asked.data, None, {"model": MODEL, "max_length": asked.max_length})
    job = open_job(request, open_data(request), MODEL)
    network = job.network(dropout=0.0, seed=0).eval().requires_grad_(False)
    rows = [network.stage_names.index(name) for name in asked.stages.split(",")]
    chosen = [parameter.requires_grad_(True) for row in rows for _, parameter in network.stage_parameters(row)]
    counts = {name: min(asked.pairs or len(job.encoded(name)), len(job.encoded(name))) for name in SPLITS}
    turns = [turns_of(cell) for name in SPLITS for cell in job.dataset.splits[name].inputs[: counts[name]]]
    said(words([(one[-2][1], one[-1][1]) for one in turns]), what="words of the whole answers", pairs=len(turns))
    found = [pair for name in SPLITS for pair in gradients(network, job.encoded(name), counts[name], chosen)]
    for margin, differences in zip(("sums", "means"), zip(*found, strict=True), strict=True):
        for metric, inner in products(list(differences)).items():
            said(inner, what=f"gradients of {asked.stages}", max_length=asked.max_length, margin=margin, metric=metric)


if __name__ == "__main__":
    main()
