"""fastai on a folder of images, from random weights: the last stage and the head, or everything; by its defaults but for the size. In an environment of its
own (``pip install fastai``). Not measured on test until the end, as the others; batch norms of what is frozen stay frozen, as theirs."""

from __future__ import annotations

import argparse
import time

import fastai.vision.all as fast

from report import finish


class Unwatched(fast.Callback):
    def before_validate(self) -> None:
        raise fast.CancelValidException


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("model", help="of torchvision, by its name there, or else of timm")
    parser.add_argument("size", type=int)
    parser.add_argument("epochs", type=int)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--full", action="store_true")
    args = parser.parse_args()
    fast.set_seed(0)
    loaders = fast.ImageDataLoaders.from_folder(args.data, train="train", valid="test", item_tfms=fast.Resize(args.size), bs=args.batch_size,
                                           batch_tfms=fast.Normalize.from_stats(*fast.imagenet_stats))  # fmt: skip
    parts = {} if args.full else {"splitter": lambda model: [fast.params(model[0][:7]), fast.params(model[0][7:]), fast.params(model[1])]}
    model = getattr(fast.models, args.model, args.model)
    learner = fast.vision_learner(loaders, model, pretrained=False, metrics=fast.accuracy, train_bn=args.full, **parts)
    if not args.full:
        learner.freeze_to(1)
    began = time.perf_counter()
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(args.epochs, args.lr, cbs=Unwatched())
        train_s = time.perf_counter() - began
        found = learner.validate()
    finish(float(found[1]), train_s=train_s)


if __name__ == "__main__":
    main()
