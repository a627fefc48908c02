"""Write the table of accuracies between its markers in the READMEs and RESULTS.md, from the rows that ``accuracy.py`` wrote.

    python benchmarks/tables.py ACCURACY.jsonl ...

The rows are kept in ``results/accuracy.jsonl``, the newest of each job; no figure of the table is typed by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from accuracy import JOBS, Job

HERE = Path(__file__).parent
KEPT = HERE / "results" / "accuracy.jsonl"
PAGES = {HERE.parent / "README.md": "en", HERE.parent / "README.zh-CN.md": "zh", HERE / "RESULTS.md": "en"}
HEADS = {
    "en": "| data | model | strategy | test accuracy [95%] | macro F1 | asked for |",
    "zh": "| 数据 | 模型 | 策略 | 测试准确率 [95%] | 宏 F1 | 目标 |",
}
CHOSEN = {"en": "chosen", "zh": "自动选择"}
BEGIN, END = "<!-- results -->", "<!-- /results -->"

Row = Mapping[str, Any]


def newest(files: Iterable[Path]) -> dict[str, Row]:
    """Job -> its last row, files and lines in the order given."""
    rows = [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()]
    return {row["job"]: row for row in rows if row["job"] in JOBS}


def slim(row: Row) -> Row:
    """What the table and a later reader need of a row."""
    return {name: row[name] for name in ("job", "strategy", "wall_s", "metrics", "cost", "settings")}


def data_of(job: Job) -> str:
    few = f"{job.per_class} a class" if job.per_class else ""
    return ", ".join(part for part in (job.data, few, job.note) if part)


def model_of(job: Job) -> str:
    return job.model if job.model.startswith("bundled") else Path(job.model.removeprefix("file:")).stem.replace("_", " ")


def line(job: Job, row: Row, language: str) -> str:
    test = row["metrics"]["test"]
    accuracy = test["accuracy"]
    given = any(option in ("--strategy", "-s") for option in job.options)
    strategy = f"`{row['strategy']}`" + ("" if given else f" ({CHOSEN[language]})")
    shown = f"{accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]"
    cells = [data_of(job), model_of(job), strategy, shown, f"{test['macro_f1']['value']:.3f}", job.bar]
    return "| " + " | ".join(cells) + " |"


def table(rows: Mapping[str, Row], language: str) -> str:
    head = HEADS[language]
    rule = "|" + "---|" * (head.count("|") - 1)
    return "\n".join([head, rule, *(line(JOBS[name], rows[name], language) for name in JOBS if name in rows)])


def main() -> None:
    rows = newest([KEPT, *map(Path, sys.argv[1:])])
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text("".join(json.dumps(slim(rows[name])) + "\n" for name in JOBS if name in rows))
    for page, language in PAGES.items():
        before, rest = page.read_text().split(BEGIN)
        after = rest.split(END)[1]
        page.write_text(f"{before}{BEGIN}\n{table(rows, language)}\n{END}{after}")


if __name__ == "__main__":
    main()
