"""AutoGluon multimodal on a text CSV, by its defaults but for the checkpoint (a local folder), the number of epochs and what is named. In an environment of its own
(``pip install autogluon.multimodal``, which brings an older torch)."""

from __future__ import annotations

import tempfile
import time

import pandas

from report import finish, of_texts


def main() -> None:
    parser = of_texts(__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, help="its default is 1e-4, times 0.9 for each layer below the head")
    parser.add_argument("--batch-size", type=int, help="its default is 128, gathered over several passes")
    args = parser.parse_args()

    from autogluon.multimodal import MultiModalPredictor

    train, test = pandas.read_csv(args.train), pandas.read_csv(args.test)
    choices = {"model.names": ["hf_text"], "model.hf_text.checkpoint_name": args.model, "optim.max_epochs": args.epochs, "env.num_gpus": 0}
    choices |= {name: value for name, value in (("optim.lr", args.lr), ("env.batch_size", args.batch_size)) if value}
    predictor = MultiModalPredictor(label="label", problem_type="multiclass", path=tempfile.mkdtemp(), verbosity=0)
    began = time.perf_counter()
    predictor.fit(train[["text", "label"]], hyperparameters=choices, seed=0)
    train_s = time.perf_counter() - began
    found = predictor.predict(test[["text"]])
    finish(float((found.to_numpy() == test["label"].to_numpy()).mean()), train_s=train_s)


if __name__ == "__main__":
    main()
