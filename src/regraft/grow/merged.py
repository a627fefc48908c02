"""Writing a merge down: the generation with all of its parents, the document that ``merge`` prints, the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regraft import lineage
from regraft.evaluate import stored
from regraft.grow import examples as measured
from regraft.grow.merging import Merging
from regraft.plan import explain
from regraft.plan.plan import Plan
from regraft.report import pages
from regraft.trunk.outline import Outline
from regraft.tune import derive as derived
from regraft.tune import document as documents
from regraft.tune.execute import peak_memory_bytes
from regraft.tune.generation import Generation

OUTCOME = {"better": "win", "worse": "loss", "tie": "tie"}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """``accepted``: why it is recorded although it is worse than its best parent. ``data``: as a person named it."""

    accepted: str | None
    data: str | None
    ancestor: lineage.Generation | None
    seconds: float


def record(store: lineage.Store, merging: Merging, facts: Facts, name: str) -> Generation:
    """Add the generation, write its report."""
    evaluations = {split: merging.document(split, merging.own(split)) for split in merging.examples.splits}
    told = told_of(merging, facts)
    first = merging.relatives[0].record.manifest
    manifest = {
        **derived.inherited(first),
        "strategy": merging.method.text,
        "plan": plan_of(merging, told).json(),
        "data": measured.facts(merging.examples, facts.data, first["data"]),
        "classes": list(merging.mixture.classes),
        "edits": merging.edits,
        "metrics": {split: document["metrics"] for split, document in evaluations.items()},
        "cost": cost_of(merging, facts),
        "warnings": merging.warnings,
        "merge": told,
    }
    made = derived.derive(store, manifest, merging.network, name=name, assets=assets_of(store, merging),
                          parents=[one.record.digest for one in merging.relatives])  # fmt: skip
    return _reported(store, made, merging, evaluations)


def told_of(merging: Merging, facts: Facts) -> dict[str, Any]:
    """What the manifest and the ``merge`` document say of the merge itself."""
    best = merging.relatives[merging.best]
    split = merging.examples.splits[0]
    verdicts = merging.verdicts()
    return {
        "method": merging.method.name,
        "options": {key: value for key, value in merging.method.options.items() if value is not None},
        "start": facts.ancestor.digest if facts.ancestor else merging.relatives[0].record.base,
        "parents": [
            {
                "name": one.name,
                "digest": one.record.digest,
                "included": index in merging.members,
                "metrics": {split: merging.document(split, merging.answers(index, split))["metrics"]},
            }
            for index, one in enumerate(merging.relatives)
        ],
        "tried": merging.tried,
        "best_parent": {"name": best.name, "digest": best.record.digest},
        "against_best": {split: verdict.json() for split, verdict in verdicts.items()},
        "outcome": OUTCOME[list(verdicts.values())[-1].verdict],
        "gate": {"split": split, "passed": facts.accepted is None, "accepted": facts.accepted},
    }


def plan_of(merging: Merging, told: Mapping[str, Any]) -> Plan:
    """A grid without a phase: nothing was trained. The settings are the first parent's, since they say how its inputs are read."""
    first = Plan.from_json(merging.relatives[0].record.manifest["plan"])
    return Plan(task=first.task, model=first.model, strategy=merging.method.text, stages=first.stages, phases=(), settings=first.settings,
                reasons=reasons_of(merging, told))  # fmt: skip


def reasons_of(merging: Merging, told: Mapping[str, Any]) -> tuple[str, ...]:
    names = [merging.relatives[index].name for index in merging.members]
    out = [one.name for one in merging.relatives if one.name not in names]
    dial = merging.method.dial
    reasons = [f"merged: {', '.join(names)}" + (f"; left out, since they made valid worse: {', '.join(out)}" if out else "")]
    if dial and merging.tried:
        reasons.append(f"{dial} {merging.method.options[dial]:g}: the best of {len(merging.tried)} places on valid")
    for split, verdict in told["against_best"].items():
        d = verdict["difference"]
        reasons.append(f"{OUTCOME[verdict['verdict']]} against the best of its parents, {told['best_parent']['name']}, on {split}: accuracy "
                       f"{d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}] on the same {d['n']:,} examples, p = {verdict['p_value']:.3g}")  # fmt: skip
    return tuple(reasons)


def cost_of(merging: Merging, facts: Facts) -> dict[str, Any]:
    return {
        "time_s": facts.seconds,
        "train_s": 0.0,
        "peak_memory_bytes": peak_memory_bytes(),
        "parameters": sum(p.numel() for p in merging.network.parameters()),
        "trainable_parameters": 0,
        "cache": {},
    }


def assets_of(store: lineage.Store, merging: Merging) -> dict[str, bytes]:
    """Test answers for later comparisons, and everything that any parent was trained on."""
    seen = [store.assets(one.record).get(measured.SEEN, b"") for one in merging.relatives]
    size = measured.KEY_BYTES
    known = {part[i : i + size] for part in seen for i in range(0, len(part), size)}
    answers = {}
    if "test" in merging.examples.splits:
        answers = stored.packed(merging.logits("test"), merging.examples.encoded["test"].digests, merging.examples.targets("test"))
    base = store.read("bases", merging.relatives[0].record.base or "")
    return {**store.assets(base), **answers, measured.SEEN: b"".join(sorted(known))}


def _reported(store: lineage.Store, made: lineage.Generation, merging: Merging, evaluations: Mapping[str, dict[str, Any]]) -> Generation:
    manifest = made.manifest
    page = pages.path_of(store.run_folder(made.name), made.digest)
    plan, outline = Plan.from_json(manifest["plan"]), Outline.from_json(manifest["data"]["outline"])
    document = {
        "schema": documents.SCHEMA,
        "generation": made.name,
        **{key: manifest[key] for key in ("name", "digest", "parent", "task", "model", "strategy", "metrics", "warnings", "merge")},
        "parents": list(made.parents),
        "plan": explain.document(plan, outline, num_classes=len(merging.mixture.classes)),
        "cost": {**manifest["cost"], "stored_bytes": made.stored_bytes},
        "report": str(page),
    }
    shown = evaluations.get("test") or evaluations["valid"]
    pages.write(page, {
        **document, "created": made.created, "reasons": list(plan.reasons), "data": manifest["data"], "environment": manifest["environment"],
        **{key: shown[key] for key in ("per_class", "confusion", "calibration")},
    })  # fmt: skip
    return Generation(store, made, document)
