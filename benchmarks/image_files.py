"""The last stage of a ResNet-50 at 224 pixels from JPEG files, five epochs: whole commands, Regraft beside a plain loop with torchvision's loader and fastai.

    python benchmarks/image_files.py [--model timm:resnet50 --fresh] [--fastai /envs/fastai/bin/python] [--quick]
    python benchmarks/image_files.py --model timm:resnet18 --full --fresh --fastai /envs/fastai/bin/python

``--fresh`` starts all from random weights, where no pretrained ones can be had: then the times mean something and the accuracies nothing. fastai does so
always, at its own defaults. The peers decode every image in every epoch in worker processes. Without ``--fastai`` it is left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from harness import compare, ideal, share_below_top

from cache import data_of

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="timm:resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0, help="use only so many training images, alike from every class")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--full", action="store_true", help="train everything, not the last stage and the head")
    parser.add_argument("--fastai", default="", help="the interpreter of an environment with fastai; for a ResNet")
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: the bundled trunk at 64 pixels, one epoch, once")
    args = parser.parse_args()
    model, size, epochs, repeats = (args.model, args.size, args.epochs, args.repeats)
    if args.quick:
        model, size, epochs, repeats = "bundled:vision", 64, 1, 1
    with tempfile.TemporaryDirectory() as folder:
        data, full = data_of("flowers12", args.rows, Path(folder)), ["--full"] * args.full
        shared = [data, model, str(size), str(epochs), *full, *["--fresh"] * args.fresh]
        contestants = {
            "regraft": [sys.executable, str(HERE / "peers" / "regraft_images.py"), *shared],
            "plain loop, files in every epoch": [sys.executable, str(HERE / "peers" / "plain_images.py"), *shared],
        }
        peer = [data, args.model.removeprefix("timm:"), str(size), str(epochs)]
        if args.full and not args.quick:
            contestants["timm"] = [sys.executable, str(HERE / "peers" / "timm_images.py"), *peer]
        if args.fastai:
            contestants["fastai"] = [args.fastai, str(HERE / "peers" / "fastai_images.py"), *peer, *full]
        else:
            print("fastai is left out: --fastai names the interpreter of its environment", file=sys.stderr)
        possible = 1.0 if args.full else ideal(share_below_top(model, 1, size), epochs)
        compare(f"image files{', everything' * args.full}: {'all' if args.full else 'top 1'} of {model} at {size}", contestants, repeats=repeats, reference="regraft",
                note=f"flowers12, {epochs} epochs, by the count of operations {possible:.2f} times, decoding apart; batches of 32, AdamW 1e-3, no augmentation; fastai batches of 64, Adam, one cycle to 1e-3; timm batches of 128, SGD, "
                     "random windows and colour jitter")  # fmt: skip


if __name__ == "__main__":
    main()
