"""Cache on against cache off, our own loop, at every boundary: the measured ratio beside the ideal one.

    python benchmarks/cache.py minilm --rows 2000 --epochs 5 --repeats 3
    python benchmarks/cache.py resnet50 --rows 192 --input-size 112 --boundaries 1 9 16

With E epochs and a prefix of share p of the forward work, live training costs E (1 + 2 (1 - p)) and cached training p + E 3 (1 - p).
Both are timed from the first step to the last, the filling of the cache included, in one process, in turn.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import pandas
import torch
from harness import DATA, ideal

from regraft.cache import Cache
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.plan.strategy import parse
from regraft.train.fit import fit
from regraft.tune.job import Job, open_data, open_job
from regraft.tune.request import Request

MODELS = {
    "minilm": ("bundled:minilm", "banking77"),
    "vision": ("bundled:vision", "flowers12"),
    "resnet18": ("timm:resnet18", "flowers12"),
    "resnet50": ("timm:resnet50", "flowers12"),
    "mobilenetv2": ("timm:mobilenetv2_100", "flowers12"),
    "vit_tiny": ("timm:vit_tiny_patch16_224", "flowers12"),
    "wav2vec2": ("", "fsdd"),
}
"""Name -> model and data. Those of timm and Wav2Vec2 start from random weights, which take as long as trained ones."""
WAV2VEC2 = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 6, "intermediate_size": 1536, "conv_dim": (256,) * 7,
            "num_conv_pos_embeddings": 64}  # fmt: skip
"""Half of the base model's width and of its blocks, over the same seven convolutions. By its defaults otherwise, dropout among them."""


def opened(name: str, folder: Path, *, rows: int, input_size: int = 0) -> Job:
    """The job of one of ``MODELS`` on its training examples, encoded; ``rows`` of them, or all with 0; ``input_size``: of images, 0 for the model's own."""
    reference, data = MODELS[name]
    settings = {"valid_fraction": 0.0} | ({"input_size": input_size} if input_size else {})
    request = Request(data=data_of(data, rows, folder), input=str(DATA / data / "recordings") if data == "fsdd" else None,
                      strategy="scratch", settings=settings)  # fmt: skip
    job = open_job(request, open_data(request), reference or wav2vec2(folder / "wav2vec2"))
    job.encoded("train").wait()
    return job


def is_fresh(job: Job) -> bool:
    """Are there no trained weights to start from?"""
    return not job.reference.startswith("bundled:")


def wav2vec2(folder: Path) -> str:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config(**WAV2VEC2)).save_pretrained(folder)
    return f"file:{folder}"


def data_of(name: str, rows: int, folder: Path) -> str:
    """The data as they are, or the first ``rows`` of their training examples, alike from every class of a folder of images."""
    source, cut = DATA / name, folder / name
    if (source / "labels.csv").exists():
        return str(first_clips(source, rows, cut))
    if not rows:
        return str(source)
    if not (source / "train.csv").exists():
        return str(first_images(source, rows, cut))
    cut.mkdir()
    train, test = (pandas.read_csv(source / f"{split}.csv").sample(frac=1, random_state=0).head(rows) for split in ("train", "test"))
    train.to_csv(cut / "train.csv", index=False)
    test[test["label"].isin(train["label"])].to_csv(cut / "test.csv", index=False)  # few rows do not hold every class
    return str(cut)


def first_clips(source: Path, rows: int, cut: Path) -> Path:
    found = pandas.read_csv(source / "labels.csv").sample(frac=1, random_state=0)[["file", "label", "split"]]
    found.groupby("split").head(rows or len(found)).to_csv(cut.with_suffix(".csv"), index=False)
    return cut.with_suffix(".csv")


def first_images(source: Path, rows: int, cut: Path) -> Path:
    for split in ("train", "test"):
        classes = sorted(folder for folder in (source / split).iterdir() if folder.is_dir())
        for one in classes:
            (cut / split / one.name).mkdir(parents=True)
            for image in sorted(one.iterdir())[: -(-rows // len(classes))]:
                (cut / split / one.name / image.name).symlink_to(image)
    return cut


def timed(job: Job, boundary: int, epochs: int, cache: Cache | None) -> float:
    strategy = parse(f"freeze(below={boundary})")
    settings = Settings(epochs=epochs, lr=1e-4, batch_size=32, cache=cache is not None, precision="fp32")
    plan = Plan(task=job.dataset.task, model=job.reference, strategy=strategy.text, stages=(*job.outline.stage_names, "head"),
                phases=strategy(job.outline), settings=settings)  # fmt: skip
    network = job.network(dropout=0.1, seed=0, fresh=is_fresh(job))
    with tempfile.TemporaryDirectory() as folder:
        history = fit(network, plan, task=job.task, data={"train": job.encoded("train"), "valid": None}, folder=Path(folder), cache=cache)
    assert history.phases[0].cached == (cache is not None), history.events
    return history.train_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--input-size", type=int, default=0, help="pixels to a side of images, instead of the model's own")
    parser.add_argument("--boundaries", type=int, nargs="*")
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: 64 rows, two epochs, once, at two boundaries")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.epochs, args.repeats, args.boundaries = 64, 2, 1, [1, 2]
    with tempfile.TemporaryDirectory() as folder:
        job = opened(args.model, Path(folder), rows=args.rows, input_size=args.input_size)
        macs = [stage.macs for stage in job.outline.stages]
        print(f"### cache {args.model}: {len(job.encoded('train')):,} examples, {args.epochs} epochs, "
              f"{torch.get_num_threads()} threads{f', {args.input_size} px' * bool(args.input_size)}\n")  # fmt: skip
        print(
            "| boundary | share p below | live s | cached s | ratio (range) | ideal | of the ideal |\n|---|---|---|---|---|---|---|",
            flush=True,
        )
        for boundary in args.boundaries or range(1, len(macs)):
            p, e = sum(macs[:boundary]) / sum(macs), args.epochs
            possible = ideal(p, e)
            live, cached = [], []
            for turn in range(args.repeats):
                for which in ("live", "cached") if turn % 2 == 0 else ("cached", "live"):
                    if which == "live":
                        live.append(timed(job, boundary, e, None))
                    else:
                        with tempfile.TemporaryDirectory() as place:
                            cached.append(timed(job, boundary, e, Cache(place, 20 << 30)))
            ratios = [a / b for a, b in zip(live, cached, strict=True)]
            middle = statistics.median(ratios)
            print(f"| {job.outline.stage_names[boundary]} | {p:.2f} | {statistics.median(live):.1f} | {statistics.median(cached):.1f} | "
                  f"{middle:.2f} ({min(ratios):.2f}-{max(ratios):.2f}) | {possible:.2f} | {middle / possible:.2f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
