"""The transformers Trainer on other tasks than one label for a text, tuned by its own documentation (grouped by length, padded to the batch).

    python trainer_tasks.py tags|set|pair FOLDER --model PATH --epochs 3 --lr 2e-4

FOLDER holds train, dev and test: ``.tsv`` of a word and its tag to a line for tags, ``.csv`` of text and labels (joined by ``|``) for sets, of
sentence1, sentence2 and label for pairs. The auto classes as they come: pairs and sets are read off the first token through the pooler.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import torch

from regraft.data.tagging import spans
from report import finish

os.environ.setdefault("HF_HUB_OFFLINE", "1")
LENGTH = 128
IGNORE = -100


def sentences(path: Path) -> tuple[list[list[str]], list[list[str]]]:
    blocks = [block.splitlines() for block in path.read_text(encoding="utf-8").split("\n\n") if block.strip()]
    pairs = [[line.split("\t") for line in block] for block in blocks]
    return [[pair[0] for pair in block] for block in pairs], [[pair[1] for pair in block] for block in pairs]


def tagged(path: Path, tokenizer: Any, classes: list[str]) -> list[dict[str, Any]]:
    """Every word's tag at its first piece."""
    rows = []
    for words, tags in zip(*sentences(path), strict=True):
        row = tokenizer(words, is_split_into_words=True, truncation=True, max_length=LENGTH)
        places = row.word_ids()
        firsts = [word is not None and word != before for word, before in zip(places, [None, *places], strict=False)]
        row["labels"] = [classes.index(tags[word]) if first else IGNORE for word, first in zip(places, firsts, strict=True)]
        rows.append(dict(row))
    return rows


def labelled(kind: str, frame: pandas.DataFrame, tokenizer: Any, classes: list[str]) -> list[dict[str, Any]]:
    texts = (list(frame["text"]),) if kind == "set" else (list(frame["sentence1"]), list(frame["sentence2"]))
    found = tokenizer(*texts, truncation=True, max_length=LENGTH)
    if kind == "set":
        targets: list[Any] = [[float(name in given.split("|")) for name in classes] for given in frame["labels"]]
    else:
        targets = [classes.index(name) for name in frame["label"]]
    return [{"input_ids": ids, "attention_mask": mask, "labels": target}
            for ids, mask, target in zip(found["input_ids"], found["attention_mask"], targets, strict=True)]  # fmt: skip


def entity_f1(logits: np.ndarray, targets: np.ndarray, classes: list[str]) -> float:
    """As conlleval and seqeval count, by Regraft's own counting, so that both are measured alike."""
    kept = [row != IGNORE for row in targets]
    called, true = (
        [set(spans([classes[tag] for tag in row[mask]])) for row, mask in zip(rows, kept, strict=True)]
        for rows in (logits.argmax(-1), targets)
    )
    hits = sum(len(ours & theirs) for ours, theirs in zip(called, true, strict=True))
    return 2 * hits / max(sum(map(len, called)) + sum(map(len, true)), 1)


def share_right(logits: np.ndarray, targets: np.ndarray, kind: str) -> float:
    """Of the words, of the pairs, or of the texts whose whole set is right with a half as the threshold."""
    if kind == "set":
        return float(((logits > 0) == (targets > 0.5)).all(1).mean())
    counting = targets != IGNORE
    return float((logits.argmax(-1) == targets)[counting].mean())


def set_facts(test: tuple[np.ndarray, np.ndarray], dev: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """Mean average precision, and F1 with the one threshold that is best on dev; beside it with that of every class, and with a half."""
    from sklearn.metrics import average_precision_score, f1_score

    (scores, truth), (seen, known) = [(1 / (1 + np.exp(-logits)), targets) for logits, targets in (test, dev)]
    steps = np.arange(0.05, 0.95, 0.025)
    best = max(steps, key=lambda at: f1_score(known, seen > at, average="micro"))
    each = [max(steps, key=lambda at: f1_score(known[:, k], seen[:, k] > at, zero_division=0)) for k in range(seen.shape[1])]
    cuts = {"": best, "_each": np.array(each), "_half": 0.5}
    found = {
        f"{kind}_f1{name}": float(f1_score(truth, scores > cut, average=kind, zero_division=0))
        for name, cut in cuts.items()
        for kind in ("micro", "macro")
    }
    there = truth.any(0)
    return {**found, "mean_average_precision": float(average_precision_score(truth[:, there], scores[:, there], average="macro"))}


def read(kind: str, folder: Path, tokenizer: Any) -> tuple[list[str], dict[str, list[dict[str, Any]]]]:
    if kind == "tags":
        classes = sorted({tag for tags in sentences(folder / "train.tsv")[1] for tag in tags})
        return classes, {name: tagged(folder / f"{name}.tsv", tokenizer, classes) for name in ("train", "dev", "test")}
    frames = {name: pandas.read_csv(folder / f"{name}.csv") for name in ("train", "dev", "test")}
    column = "labels" if kind == "set" else "label"
    classes = sorted({name for given in frames["train"][column] for name in str(given).split("|")})
    return classes, {name: labelled(kind, frame, tokenizer, classes) for name, frame in frames.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["tags", "set", "pair"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    import transformers as hf

    torch.manual_seed(args.seed)
    tokenizer = hf.AutoTokenizer.from_pretrained(args.model)
    classes, splits = read(args.kind, args.folder, tokenizer)
    auto = hf.AutoModelForTokenClassification if args.kind == "tags" else hf.AutoModelForSequenceClassification
    facts = {"problem_type": "multi_label_classification"} if args.kind == "set" else {}
    model = auto.from_pretrained(args.model, num_labels=len(classes), **facts)
    collator = hf.DataCollatorForTokenClassification if args.kind == "tags" else hf.DataCollatorWithPadding
    options = hf.TrainingArguments(
        output_dir=tempfile.mkdtemp(), num_train_epochs=args.epochs, learning_rate=args.lr, per_device_train_batch_size=args.batch_size,
        per_device_eval_batch_size=64, use_cpu=not torch.cuda.is_available(), report_to=[], save_strategy="no", logging_strategy="no",
        disable_tqdm=True, seed=args.seed, warmup_steps=0.1, train_sampling_strategy="group_by_length",
    )  # fmt: skip
    trainer = hf.Trainer(model=model, args=options, train_dataset=splits["train"], data_collator=collator(tokenizer))
    began = time.process_time()
    trainer.train()
    train_s = time.process_time() - began
    test = trainer.predict(splits["test"])
    found = {"train_s": train_s}
    if args.kind == "tags":
        found["entity_f1"] = entity_f1(test.predictions, test.label_ids, classes)
    elif args.kind == "set":
        dev = trainer.predict(splits["dev"])
        found |= set_facts((test.predictions, test.label_ids), (dev.predictions, dev.label_ids))
    finish(share_right(test.predictions, test.label_ids, args.kind), processor_s=time.process_time(), **found)


if __name__ == "__main__":
    main()
