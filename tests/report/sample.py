"""A document as ``tune`` makes it, made up but consistent, for the tests of this room (and to look at: ``python -m report.sample FILE``)."""

from __future__ import annotations

import base64
import math
import random
import struct
import zlib
from typing import Any

STAGES = ["stem", *(f"blocks.{i}" for i in range(6))]
CLASSES = ["billing", "delivery", "login", "refund", "cancel order", "change address", "<b>bug</b> & crash", "发票问题"]


def png(red: int, green: int, blue: int, size: int = 24) -> str:
    """A data URI of a one-coloured picture."""
    rows = b"".join(b"\0" + bytes((red, green, blue)) * size for _ in range(size))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks)
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


def cell(stage: str, trainable: bool, scale: float = 1.0, edit: dict[str, Any] | None = None, parameters: int = 0) -> dict[str, Any]:
    return {"stage": stage, "trainable": trainable, "lr_scale": scale, "edit": edit, "parameters": parameters}


def plan() -> dict[str, Any]:
    rows = [*STAGES, "head"]
    sizes = [11_920_512, *[1_774_464] * 6, 3_080]
    probe = [cell(name, name == "head", 1.0, None, n) for name, n in zip(rows, sizes, strict=True)]
    top = [
        cell(name, i >= 4, round(0.7 ** (7 - i), 3) if i >= 4 else 1.0, None, n)
        for i, (name, n) in enumerate(zip(rows, sizes, strict=True))
    ]
    lora = {"kind": "lora", "rank": 8, "variant": "dora"}
    everything = [
        cell(name, True, round(0.7 ** (7 - i), 3), lora if i in (5, 6) else None, n)
        for i, (name, n) in enumerate(zip(rows, sizes, strict=True))
    ]
    return {
        "strategy": "probe+gradual_unfreezing(every=2)+lora(rank=8)",
        "phases": [
            {"name": "probe", "epochs": 0, "solver": "closed_form", "boundary": 7, "cached": True, "cached_below": "head", "cells": probe},
            {"name": "top", "epochs": 2, "boundary": 4, "cached": True, "cached_below": "blocks.3", "cells": top},
            {"name": "all", "epochs": 3, "boundary": 0, "cached": False, "cells": everything},
        ],
        "settings": {"epochs": 5, "lr": 1e-4, "batch_size": 32, "seed": 0},
        "reasons": [
            "1 540 examples in 77 classes: between 1k and 100k, so the trunk is unfrozen from the top, two blocks at a time.",
            "A linear probe on mean-pooled features reaches 0.883 on valid, so the features fit and the head starts from it.",
            "Learning rate 1e-4: a tenth of the rate of pretraining (1e-3), lower stages slower by 0.7 per stage.",
        ],
    }


def history() -> list[dict[str, Any]]:
    noise = random.Random(0)
    found: list[dict[str, Any]] = []
    for step in range(1, 241):
        phase = "top" if step <= 96 else "all"
        lr = 1e-4 * min(step / 24, 1.0) * (1 - step / 260)
        row: dict[str, Any] = {
            "step": step,
            "epoch": step / 48,
            "phase": phase,
            "lr": lr,
            "loss": 1.9 * math.exp(-step / 60) + 0.22 + noise.gauss(0, 0.09),
        }
        if step % 48 == 0:
            share = 1 - math.exp(-step / 60)
            row["valid"] = {"accuracy": 0.70 + 0.24 * share, "log_loss": 1.2 - 0.92 * share, "macro_f1": 0.69 + 0.24 * share}
        found.append(row)
    return found


def metric(value: float, spread: float, n: int) -> dict[str, float]:
    return {"value": value, "low": value - spread, "high": value + spread, "n": n}


def answers(k: int = len(CLASSES)) -> dict[str, Any]:
    noise = random.Random(1)
    names = CLASSES if k == len(CLASSES) else [f"intent_{i}" for i in range(k)]
    matrix = [[40 if i == j else (noise.randint(1, 9) if noise.random() < 0.18 else 0) for j in range(k)] for i in range(k)]
    rows = []
    for i, name in enumerate(names):
        hit, of, called = matrix[i][i], sum(matrix[i]), sum(row[i] for row in matrix)
        rows.append({"class": name, "precision": hit / called, "recall": hit / of, "f1": 2 * hit / (of + called), "n": of})
    bins = [
        {"low": i / 10, "high": (i + 1) / 10, "confidence": i / 10 + 0.06, "accuracy": min(1.0, i / 10 + 0.02), "n": 4 + i * i * 6}
        for i in range(2, 10)
    ]
    return {"per_class": rows, "confusion": matrix, "calibration": bins}


def errors(pictures: bool = False) -> list[dict[str, Any]]:
    texts = ["Where is my parcel? It says <script>alert('delivered')</script> since Monday.", "I was charged twice & nobody answers", "发票抬头写错了,怎么改?",
             "cannot log in after the update", "please cancel it, or rather send it to my new flat", "money back!!!"]  # fmt: skip
    made = []
    for i in range(12 if pictures else 6):
        image = png(40 + 17 * i, 120, 220 - 15 * i) if pictures else None
        made.append({"input": f"test/image_{i:04d}.png" if pictures else texts[i], "image": image, "label": CLASSES[i % 8], "predicted": CLASSES[(i * 3 + 1) % 8],
                     "probability": 0.99 - 0.04 * i})  # fmt: skip
    return made


def document(*, pictures: bool = False, k: int = len(CLASSES)) -> dict[str, Any]:
    measured = {
        "accuracy": metric(0.912, 0.016, 1240), "macro_f1": metric(0.907, 0.017, 1240), "balanced_accuracy": metric(0.909, 0.016, 1240),
        "log_loss": metric(0.331, 0.04, 1240), "calibration_error": metric(0.041, 0.012, 1240),
    }  # fmt: skip
    valid = {name: metric(m["value"] + 0.008, m["high"] - m["value"] + 0.006, 400) for name, m in measured.items()}
    cost = {"time_s": 141.2, "train_s": 96.0, "peak_memory_bytes": 1.42e9, "parameters": 22_713_728, "trainable_parameters": 7_100_936, "stored_bytes": 28.4e6,
            "cache": {"hits": 7680, "stored_bytes": 213e6}}  # fmt: skip
    return {
        "schema": 1, "name": "tickets", "digest": "9f2c41aa" * 8, "parent": None, "task": "text-classification", "model": "bundled:minilm",
        "strategy": "probe+gradual_unfreezing(every=2)", "command": "regraft tune tickets.csv --model bundled:minilm --seed 0 --name tickets",
        "created": "2026-11-21T18:40:00.123456+00:00", "plan": plan(), "metrics": {"valid": valid, "test": measured}, **answers(k), "history": history(),
        "errors": errors(pictures), "cost": cost, "forecast": {"time_s": 128.0, "peak_memory_bytes": 1.5e9, "stored_bytes": 28.4e6, "cache": {"stored_bytes": 210e6}},
        "drift": dict.fromkeys(["stem", "blocks.0", "blocks.1"], 0.0) | {"blocks.2": 0.004, "blocks.3": 0.011, "blocks.4": 0.02, "blocks.5": 0.038}, "events": ["out of memory at batch 64: halved to 32, two steps accumulated"],
        "warnings": ["3 texts of test are also in train; they were moved to train and are not measured."],
        "environment": {"python": "3.11.7", "torch": "2.15.0", "device": "cpu", "threads": 2, "precision": "bf16", "memory_bytes": 16e9, "platform": "Linux x86_64"},
        "data": {
            "task": "text-classification", "splits": {"train": 6180, "valid": 400, "test": 1240}, "classes": CLASSES, "num_examples": 7820, "fingerprint": "c0ffee12" * 8,
            "said": ["input: the column 'text' (longest texts)", "target: the column 'intent' (8 values)", "no split given: 79% train, 5% valid, 16% test by content"],
            "problems": [
                {"kind": "contradictory_labels", "severity": "warning", "where": ["row 17", "row 912"], "count": 2, "advice": "decide which label is right"},
                {"kind": "near_duplicates", "severity": "note", "where": "train", "count": 31, "advice": "kept on the same side of the split"},
            ],
            "rejected": [{"where": "tickets.csv row 88", "reason": "the text is empty"}],
        },
    }  # fmt: skip


if __name__ == "__main__":
    import sys
    from pathlib import Path

    from regraft import report

    Path(sys.argv[1]).write_text(
        report.html(document(pictures="pictures" in sys.argv, k=77 if "many" in sys.argv else len(CLASSES))), encoding="utf-8"
    )
