"""SetFit on a text CSV: contrastive tuning of the sentence encoder on pairs, then a logistic head. In an environment of its own
(``pip install setfit sentence-transformers``). ``--steps`` bounds the pairs: its default, every positive pair, has no end on thousands of rows."""

from __future__ import annotations

import tempfile

import pandas

from report import finish, of_texts


def main() -> None:
    parser = of_texts(__doc__)
    parser.add_argument("--steps", type=int, default=-1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--per-class", type=int, default=0)
    args = parser.parse_args()

    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.linear_model import LogisticRegression

    train, test = pandas.read_csv(args.train), pandas.read_csv(args.test)
    if args.per_class:
        train = train.groupby("label", sort=False).head(args.per_class)
    words = Transformer(args.model, max_seq_length=128)
    body = SentenceTransformer(modules=[words, Pooling(words.get_word_embedding_dimension(), "mean")], device="cpu")
    model = SetFitModel(model_body=body, model_head=LogisticRegression(max_iter=1000), labels=sorted(train["label"].unique()))
    options = TrainingArguments(output_dir=tempfile.mkdtemp(), batch_size=args.batch_size, num_epochs=1, max_steps=args.steps,
                                report_to="none", save_strategy="no", show_progress_bar=False)  # fmt: skip
    rows = Dataset.from_dict({"text": list(train["text"]), "label": list(train["label"])})
    Trainer(model=model, args=options, train_dataset=rows).train()
    found = model.predict(list(test["text"]), batch_size=64)
    finish(float((pandas.Series(list(found)) == test["label"]).mean()))


if __name__ == "__main__":
    main()
