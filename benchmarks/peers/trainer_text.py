"""The transformers Trainer on a text CSV: at its defaults, or tuned by its own documentation (bf16 where it pays, grouped by length)."""

from __future__ import annotations

import tempfile

import numpy as np
import pandas
import torch

from report import finish, of_texts


def main() -> None:
    parser = of_texts(__doc__)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--tuned", action="store_true", help="grouped by length, padded to the batch")
    parser.add_argument("--head-only", action="store_true")
    parser.add_argument("--top", type=int, default=0, help="train only so many of the last blocks, and the head")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--per-class", type=int, default=0)
    args = parser.parse_args()

    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

    train, test = pandas.read_csv(args.train), pandas.read_csv(args.test)
    if args.per_class:
        train = train.groupby("label", sort=False).head(args.per_class)
    classes = sorted(train["label"].unique())
    tokenizer = AutoTokenizer.from_pretrained(args.model)

    def encode(frame: pandas.DataFrame) -> Dataset:
        rows = Dataset.from_dict({"text": list(frame["text"]), "label": [classes.index(name) for name in frame["label"]]})
        padding = False if args.tuned else "max_length"
        return rows.map(lambda batch: tokenizer(batch["text"], truncation=True, padding=padding, max_length=128), batched=True)

    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=len(classes))
    if args.head_only or args.top:
        kept = [f"encoder.layer.{model.config.num_hidden_layers - 1 - i}." for i in range(args.top)]
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith("classifier") or "pooler" in name or any(part in name for part in kept)
    options = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        num_train_epochs=args.epochs,
        learning_rate=args.lr,
        per_device_train_batch_size=args.batch_size,
        per_device_eval_batch_size=64,
        bf16=args.bf16,
        use_cpu=not torch.cuda.is_available(),
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        **({"train_sampling_strategy": "group_by_length"} if args.tuned else {}),
    )
    trainer = Trainer(model=model, args=options, train_dataset=encode(train), data_collator=DataCollatorWithPadding(tokenizer))
    outcome = trainer.train()
    predictions = trainer.predict(encode(test))
    accuracy = (np.argmax(predictions.predictions, axis=1) == predictions.label_ids).mean()
    finish(accuracy, train_s=outcome.metrics["train_runtime"])


if __name__ == "__main__":
    main()
