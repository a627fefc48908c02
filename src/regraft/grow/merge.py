"""``merge``: one generation out of several, without a training step: mixed, chosen on valid, compared with the best of them, recorded.

related -> mixture -> dial or soup, on valid -> gate: not worse than the best parent -> test, once -> generation -> report
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from regraft import lineage
from regraft.errors import GateRefused, RequestError
from regraft.evaluate.retention import lost, retention
from regraft.grow import merged
from regraft.grow.examples import open_examples
from regraft.grow.merging import Merging
from regraft.grow.methods import GREEDY, WISE_FT, parse
from regraft.grow.mixture import Mixture
from regraft.grow.relatives import check_edits, open_relative, related
from regraft.surgery.average import State
from regraft.trunk.tensors import read_state
from regraft.tune.generation import Generation
from regraft.tune.job import Work, no_work

__all__ = ["merge"]


def merge(
    names: Sequence[str], *, method: str = GREEDY, data: str | None = None, name: str | None = None, accept_forgetting: str | None = None,
    store: str | Path | None = None, work: Work = no_work,
) -> Generation:  # fmt: skip
    """Merge generations of one architecture that started from the same weights; the merge is a generation with all of them as parents.

    ``method``: uniform, greedy, wise_ft, task_arithmetic, ties, dare, with options in brackets (``grow.methods``). ``data``: what to measure
    on; by default the data that all of them learnt. ``name``: by default that of the first and the method's. ``accept_forgetting``: a reason to record
    the merge although it is worse than the best of its parents; without one that is a ``GateRefused`` and nothing is stored.
    Raises ``RequestError`` where the generations cannot be merged.
    """
    where = lineage.Store.locate(store)
    how = parse(method)
    found, ancestor = related(where, names)
    if how.name == WISE_FT and len(found) != 2:
        raise RequestError(
            f"merge {', '.join(names)} by wise_ft", f"{len(found)} generations", "two of them, the parent first; for more: --method greedy"
        )
    began = time.perf_counter()
    relatives = [open_relative(where, one) for one in found]
    check_edits(relatives)
    mixture = Mixture(relatives, _start(where, found, ancestor))
    examples = open_examples(found, relatives[0].rebuilt, mixture.classes, data=data, work=work)
    merging = Merging(store=where, mixture=mixture, examples=examples, method=how, common=data is None)
    merging.choose()
    accepted = _gate(merging, accept_forgetting)
    facts = merged.Facts(accepted=accepted, data=data, ancestor=ancestor, seconds=time.perf_counter() - began)
    return merged.record(where, merging, facts, name or f"{found[0].name}-{how.name}")


def _start(store: lineage.Store, found: Sequence[lineage.Generation], ancestor: lineage.Generation | None) -> State:
    """The trunk that all of them started from: their nearest common ancestor's, else the pretrained one."""
    if ancestor is not None:
        return open_relative(store, ancestor).part("host.")
    return read_state(store.tensor_files(store.read("bases", found[0].base or "")))


def _gate(merging: Merging, reason: str | None) -> str | None:
    """The reason for which it is recorded although it is worse. Raises ``GateRefused`` where nobody gave one. Test is not touched for this
    where there is valid."""
    split = merging.examples.splits[0]
    found = worse(merging, split)
    if found is None:
        return None
    if reason:
        return reason
    raise GateRefused(
        f"merge {', '.join(one.name for one in merging.relatives)} by {merging.method.text}",
        f"worse than {merging.relatives[merging.best].name} alone on {split}: {found}; nothing was stored",
        "another --method (greedy keeps only what helps), or --accept-forgetting 'why'",
    )


def worse(merging: Merging, split: str) -> str | None:
    """How the merge is worse than the best parent, as a whole or in a class; ``None`` where it is not, beyond the noise."""
    verdict = merging.verdict(split)
    if verdict.verdict == "worse":
        d = verdict.difference
        return f"accuracy {d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}] on the same {d.n:,} examples"
    examples = merging.examples
    targets = [examples.classes[index] for index in examples.targets(split)]
    rows = lost(retention(examples.names(split, merging.answers(merging.best, split)), examples.names(split, merging.own(split)), targets))
    told = [f"{row['class'] or 'all classes'} {row['before']:.2f} -> {row['after']:.2f} (n={row['n']}, {row['why']})" for row in rows]
    return "; ".join(told[:3]) or None
