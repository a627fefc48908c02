"""What the peers share: the arguments of those that learn from a table of texts, and the one line that every peer prints last."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys


def of_texts(description: str | None) -> argparse.ArgumentParser:
    """``train`` and ``test``, tables with a text and a label, and ``--model``, a local folder: the hub is not contacted."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--model", required=True)
    return parser


def finish(accuracy: float, **facts: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(json.dumps({"accuracy": round(float(accuracy), 5), "peak_bytes": peak, **facts}) + "\n")
