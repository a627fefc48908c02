"""timm on a folder of images, from random weights, everything trained: its loaders, optimiser and schedule with the defaults of its training script
(batches of 128, random windows, mirrored, colour jitter; SGD at 0.1 for 256 images, cosine; valid after every epoch left out, as for the others)."""

from __future__ import annotations

import argparse
import time

import timm
import torch
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch.nn import functional

from report import finish

BATCH, RATE_OF_256 = 128, 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("model")
    parser.add_argument("size", type=int)
    parser.add_argument("epochs", type=int)
    args = parser.parse_args()
    torch.manual_seed(0)
    data = {split: create_dataset("", root=args.data, split=split, is_training=split == "train") for split in ("train", "test")}
    model = timm.create_model(args.model, num_classes=len(data["train"].reader.class_to_idx))
    shape = resolve_data_config({"input_size": (3, args.size, args.size)}, model=model)
    shared = {"input_size": shape["input_size"], "batch_size": BATCH, "mean": shape["mean"], "std": shape["std"], "num_workers": 1,
              "device": torch.device("cpu")}  # fmt: skip
    train = create_loader(data["train"], is_training=True, interpolation="random", **shared)
    test = create_loader(data["test"], interpolation=shape["interpolation"], crop_pct=shape["crop_pct"], **shared)
    optimizer = create_optimizer_v2(model, opt="sgd", lr=RATE_OF_256 * BATCH / 256, weight_decay=2e-5, momentum=0.9)
    schedule, _ = create_scheduler_v2(optimizer, sched="cosine", num_epochs=args.epochs, warmup_epochs=0)
    model.train()
    began = time.perf_counter()
    for epoch in range(args.epochs):
        for images, targets in train:
            optimizer.zero_grad()
            functional.cross_entropy(model(images), targets).backward()
            optimizer.step()
        schedule.step(epoch + 1)
    train_s = time.perf_counter() - began
    model.eval()
    with torch.inference_mode():
        right = sum(int((model(images).argmax(1) == targets).sum()) for images, targets in test)
    finish(right / len(data["test"]), train_s=train_s)


if __name__ == "__main__":
    main()
