"""Examples that the model of a job cannot learn whatever it does: named before anything is spent, and too many of them are an error."""

from __future__ import annotations

from regraft.data.load import TOLERATED_SHARE
from regraft.errors import DataError
from regraft.tune.job import Job

SHOWN = 3


def remarks(job: Job) -> tuple[str, ...]:
    """A sentence for each split that has some. Raises ``DataError`` where they are more than 1% of the training examples, unless that is accepted."""
    check, said = job.task.unfit, []
    for name, split in job.dataset.splits.items() if check else ():
        assert check is not None
        found = check(job.trunk, job.encoded(name))
        if not len(found.rows):
            continue
        places = ", ".join(split.where(int(row)) for row in found.rows[:SHOWN]) + (", ..." if len(found.rows) > SHOWN else "")
        listed = f"{len(found.rows):,} of {len(split):,} {name} examples: what is to be learned {found.reason} ({places})"
        if name == "train" and len(found.rows) > TOLERATED_SHARE * len(split) and not job.request.allow_rejected:
            raise DataError(f"tune {job.reference} on {job.request.data}", listed,
                            f"{found.advice}; or accept that they teach nothing with --allow-rejected")  # fmt: skip
        said.append(f"{listed}: {'they teach nothing' if name == 'train' else 'they cannot be answered rightly'}")
    return tuple(said)
