"""What a language model answers to a few prompts, before training and after it: for a person to read."""

from __future__ import annotations

from typing import Any

from regraft.data.turns import answer_of, prompt_of, readable, turns_of, written
from regraft.trunk.network import Network
from regraft.tune.job import Job

SHOWN = 5
FROM = ("test", "valid", "train")


def prompts(job: Job) -> list[str]:
    """The first conversations of the split that is measured, as it holds them."""
    split = next(job.dataset.splits[name] for name in FROM if name in job.dataset.splits)
    return split.inputs[:SHOWN] if job.task.respond is not None else []


def answers(job: Job, network: Network) -> list[str]:
    """One to each of ``prompts``; none where the task does not speak."""
    asked = prompts(job)
    if job.task.respond is None or not asked:
        return []
    limit = int(job.request.settings.get("max_length", 0)) or job.trunk.input.max_length
    return [str(row["answer"]) for row in job.task.respond(network, job.trunk.tokenizer, [_asked(cell) for cell in asked], limit)]


def rows(job: Job, before: list[str], after: list[str]) -> list[dict[str, Any]]:
    """``{input, expected, before, after}`` of each prompt."""
    cells = [turns_of(cell) for cell in prompts(job)]
    return [
        {"input": readable(prompt_of(turns) or _begun(turns)), "expected": answer_of(turns), "before": one, "after": other}
        for turns, one, other in zip(cells, before, after, strict=True)
    ]


def _asked(cell: str) -> str:
    """The conversation up to its last answer; the first words of a plain text."""
    turns = turns_of(cell)
    return written(_begun(turns)) if turns[0][0] == "text" else cell


def _begun(turns: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [("text", " ".join(said.split(" ")[:8])) for _, said in turns[:1]]
