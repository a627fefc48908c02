"""A plain loop on image files with torchvision's loader: every image decoded in every epoch, the last stage and the head trained, or everything."""

from __future__ import annotations

import argparse
import time

import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from regraft.surgery import heads
from regraft.trunk import load as models
from report import finish

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data")
parser.add_argument("model")
parser.add_argument("size", type=int)
parser.add_argument("epochs", type=int)
parser.add_argument("--fresh", action="store_true")
parser.add_argument("--full", action="store_true")


def main() -> None:
    args = parser.parse_args()
    torch.manual_seed(0)
    trunk = models.load(args.model, pretrained=not args.fresh, input_size=args.size)
    heads.strip(trunk)
    host = trunk.host.to(memory_format=torch.channels_last)
    spec = trunk.input
    change = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize(args.size),
            v2.CenterCrop(args.size),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(spec.mean, spec.std),
        ]
    )
    splits = {name: ImageFolder(f"{args.data}/{name}", change) for name in ("train", "test")}
    loaders = {name: DataLoader(split, 32, shuffle=name == "train", num_workers=2) for name, split in splits.items()}
    head = torch.nn.Linear(trunk.width, len(splits["train"].classes))
    host.requires_grad_(args.full).train(args.full)
    last = [host] if args.full else [host.get_submodule(path) for path in trunk.stages[-1].modules]
    for part in last:
        part.requires_grad_(True)
    moving = [*head.parameters(), *(p for part in last for p in part.parameters())]
    optimizer = torch.optim.AdamW(moving, lr=1e-3, fused=True)

    def logits(images: torch.Tensor) -> torch.Tensor:
        features = trunk.features({"image": images.contiguous(memory_format=torch.channels_last)})
        return head(features.mean((-2, -1)) if features.dim() == 4 else features)

    began = time.perf_counter()
    for _ in range(args.epochs):
        for images, targets in loaders["train"]:
            functional.cross_entropy(logits(images), targets).backward()
            torch.nn.utils.clip_grad_norm_(moving, 1.0)
            optimizer.step()
            optimizer.zero_grad()
    train_s = time.perf_counter() - began
    host.eval()
    with torch.inference_mode():
        right = sum(int((logits(images).argmax(1) == targets).sum()) for images, targets in loaders["test"])
    finish(right / len(splits["test"]), train_s=train_s)


if __name__ == "__main__":
    main()
