"""Pretrain the bundled vision trunk: timm's resnet10t on Tiny ImageNet, with a plain PyTorch loop.

Progressive resizing keeps it within hours on two cores: most epochs run at 32 and 48 pixels, the last ones at the full 64.
Random resized crops, flips and brightness are drawn per image with one ``grid_sample`` per batch, so no worker is needed.
A killed run goes on from its last finished epoch; ``--start`` takes the weights of an earlier run and warms up anew.

    python pretraining/vision.py DATA_FOLDER OUT_FOLDER --sizes 32x9,48x7,64x5
    python pretraining/vision.py DATA_FOLDER OUT_FOLDER_2 --sizes 64x7 --lr 0.1 --start OUT_FOLDER/vision.safetensors
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def read_images(files: list[Path]) -> tuple[Tensor, Tensor]:
    """All images of some parquet files as uint8 (n, 3, 64, 64), and their labels."""
    images, labels = [], []
    for file in files:
        for row in parquet.read_table(file).to_pylist():
            picture = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
            images.append(np.asarray(picture).transpose(2, 0, 1))
            labels.append(row["label"])
    return torch.from_numpy(np.stack(images)), torch.tensor(labels)


def augment(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """A random resized crop (area 0.35 to 1, aspect 3/4 to 4/3), flip and brightness for each image of a float batch."""
    count = len(images)

    def draw(low: float, high: float) -> Tensor:
        return torch.empty(count).uniform_(low, high, generator=generator)

    side, stretch = draw(0.35, 1.0).sqrt(), draw(math.log(3 / 4), math.log(4 / 3)).mul(0.5).exp()
    width, height = (side * stretch).clamp(max=1.0), (side / stretch).clamp(max=1.0)
    flip = draw(-1, 1).sign()
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = width * flip, draw(-1, 1) * (1 - width)
    theta[:, 1, 1], theta[:, 1, 2] = height, draw(-1, 1) * (1 - height)
    grid = F.affine_grid(theta, [count, 3, size, size], align_corners=False)
    crops = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return crops * draw(0.7, 1.3).view(-1, 1, 1, 1) + draw(-0.15, 0.15).view(-1, 1, 1, 1)


def normalised(images: Tensor) -> Tensor:
    return ((images - MEAN) / STD).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def top1(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    model.eval()
    hits = sum(
        (model(normalised(x.float() / 255)).argmax(1) == y).sum().item() for x, y in zip(images.split(250), labels.split(250), strict=True)
    )
    return hits / len(labels)


def learning_rate(progress: float, peak: float, warmup: float = 0.08) -> float:
    return peak * progress / warmup if progress < warmup else peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def make_optimizer(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 5e-4}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True)


def train(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    sizes = [int(size) for part in args.sizes.split(",") for size in [part.split("x")[0]] * int(part.split("x")[1])]
    images, labels = read_images(sorted(args.data.glob("train-*.parquet")))
    valid_images, valid_labels = read_images([args.data / "validation.parquet"])
    torch.manual_seed(args.seed)
    model = timm.create_model("resnet10t", num_classes=200).to(memory_format=torch.channels_last)
    if args.start:
        model.load_state_dict({name: v.float() if v.is_floating_point() else v for name, v in load_file(args.start).items()})
    optimizer = make_optimizer(model, args.lr)
    checkpoint, log, start = args.out / "checkpoint.pt", args.out / "log.jsonl", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["epoch"]
    steps = len(images) // args.batch_size
    for epoch in range(start, len(sizes)):
        began, total = time.time(), 0.0
        generator = torch.Generator().manual_seed(args.seed * 1000 + epoch)
        order = torch.randperm(len(images), generator=generator)
        model.train()
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate((epoch * steps + step) / (len(sizes) * steps), args.lr)
            rows = order[step * args.batch_size : (step + 1) * args.batch_size]
            batch = normalised(augment(images[rows].float() / 255, sizes[epoch], generator))
            loss = F.cross_entropy(model(batch), labels[rows], label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        row = {"epoch": epoch + 1, "size": sizes[epoch], "loss": round(total / steps, 4), "train_s": round(time.time() - began, 1)}
        if (epoch + 1) % 3 == 0 or epoch + 1 == len(sizes):
            row["top1"] = top1(model, valid_images, valid_labels)
        with log.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        print(row, flush=True)
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1}, checkpoint)
    halves = {name: value.half().contiguous() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    save_file(halves, args.out / "vision.safetensors", metadata={"architecture": "resnet10t", "licence": "see pretraining/README.md"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sizes", default="32x9,48x6,64x5", help="pixels x epochs, in order")
    parser.add_argument("--lr", type=float, default=0.2)
    parser.add_argument("--start", type=Path, help="weights of an earlier run (its vision.safetensors)")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())
