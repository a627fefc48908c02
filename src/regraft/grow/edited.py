"""Writing an edit down: the child generation, and the document that ``edit`` prints."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from regraft import lineage
from regraft.evaluate import stored
from regraft.evaluate.compare import paired
from regraft.grow import examples as measured
from regraft.grow.operation import Operation
from regraft.plan import explain
from regraft.plan.plan import Plan
from regraft.report import pages
from regraft.serve import rebuild
from regraft.trunk.measure import measure
from regraft.trunk.outline import Outline
from regraft.tune import derive as records
from regraft.tune import document as documents
from regraft.tune.execute import peak_memory_bytes
from regraft.tune.generation import Generation

KEPT_ASSETS = (measured.SEEN,)


def record(operation: Operation, name: str) -> Generation:
    """Add the edited generation as a child of the one it was made from."""
    parent, trunk = operation.parent, operation.network.trunk
    after = operation.documents("after")
    manifest = {
        **records.inherited(parent.manifest),
        "strategy": operation.surgery,
        "plan": plan_of(operation).json(),
        "data": {**parent.manifest["data"], "outline": outline_of(operation).json()},
        "classes": list(operation.relative.classes),
        "width": trunk.width,
        "pooling": trunk.pooling,
        "edits": [*operation.relative.edits, *(one.json() for one in operation.records)],
        "metrics": {split: document["metrics"] for split, document in after.items()},
        "cost": cost_of(operation),
        "warnings": operation.warnings,
        "surgery": told_of(operation),
    }
    made = records.derive(operation.store, manifest, operation.network, name=name, assets=assets_of(operation), parents=[parent.digest])
    document = _reported(operation.store, made, name, after)
    return Generation(operation.store, made, document)


def restored(store: lineage.Store, current: lineage.Generation, earlier: lineage.Generation, name: str) -> Generation:
    """``earlier`` once more, as a child of ``current``: all of its tensors are there."""
    network = rebuild.network(store, earlier.digest).network
    manifest = {
        **records.inherited(earlier.manifest),
        **{key: earlier.manifest[key] for key in ("data", "classes", "metrics", "warnings", "edits")},
        "strategy": "undo",
        "plan": {**earlier.manifest["plan"], "strategy": "undo", "phases": []},
        "cost": {**earlier.manifest["cost"], "time_s": 0.0, "train_s": 0.0, "trainable_parameters": 0},
        "restores": earlier.digest,
    }
    made = records.derive(store, manifest, network, name=name, assets=store.assets(earlier), parents=[current.digest])
    return Generation(store, made, document_of(made, name))


def document_of(made: lineage.Generation, name: str) -> dict[str, Any]:
    """The ``edit`` document. ``name``: the one asked for; the same edit may have been recorded under another before."""
    manifest = made.manifest
    keys = ("digest", "parent", "task", "model", "strategy", "metrics", "warnings")
    return {
        "schema": documents.SCHEMA,
        "generation": name,
        "name": name,
        **{key: manifest[key] for key in keys},
        "surgery": manifest.get("surgery"),
        "cost": {**manifest["cost"], "stored_bytes": made.stored_bytes},
    }


def _reported(store: lineage.Store, made: lineage.Generation, name: str, evaluations: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Write the report page; the ``edit`` document, which says where it is."""
    manifest, page = made.manifest, pages.path_of(store.run_folder(made.name), made.digest)
    plan, outline = Plan.from_json(manifest["plan"]), Outline.from_json(manifest["data"]["outline"])
    document = {
        **document_of(made, name),
        "plan": explain.document(plan, outline, num_classes=len(manifest["classes"])),
        "report": str(page),
    }
    shown = evaluations.get("test") or evaluations.get("valid") or {}
    facts = {"created": made.created, "reasons": list(plan.reasons), "data": manifest["data"], "environment": manifest["environment"]}
    pages.write(page, {**document, **facts, **{key: shown[key] for key in ("per_class", "confusion", "calibration") if key in shown}})
    return document


def told_of(operation: Operation) -> dict[str, Any]:
    """What the manifest and the document say of the surgery itself: ``before`` holds the parent's metrics on the same examples."""
    edits = [{"stage": one.stage, "kind": one.edit.kind, "label": one.edit.label} for one in operation.records]
    return {
        "text": operation.surgery,
        "edits": edits,
        "keeps_function": all(one.edit.keeps_function for one in operation.records),  # type: ignore[union-attr]
        "stages": {"before": list(operation.stages), "after": list(operation.network.stage_names)},
        "parameters": dict(operation.parameters),
        "before": {split: document["metrics"] for split, document in operation.documents("before").items()},
        "verdicts": {split: _verdict(operation, split) for split in operation.answers["after"]},
    }


def _verdict(operation: Operation, split: str) -> dict[str, Any]:
    assert operation.examples is not None
    targets = operation.examples.targets(split)
    now, then = (np.argmax(operation.answers[when][split], axis=1) == targets for when in ("after", "before"))
    return paired(now, then).json()


def plan_of(operation: Operation) -> Plan:
    """A grid without a phase: nothing was trained. The settings are the parent's, since they say how its inputs are read."""
    before = Plan.from_json(operation.parent.manifest["plan"])
    reasons = tuple(f"{one.edit.label} in {one.stage}" for one in operation.records)
    return replace(before, strategy=operation.surgery, stages=operation.network.stage_names, phases=(), objectives=(), reasons=reasons,
                   warnings=(), cost={}, data={})  # fmt: skip


def outline_of(operation: Operation) -> Outline:
    """Of the edited trunk, counted on an example as long as the parent's was."""
    before = Outline.from_json(operation.parent.manifest["data"]["outline"])
    return replace(measure(operation.network.trunk, probe_length=before.probe_length), reference=before.reference)


def cost_of(operation: Operation) -> dict[str, Any]:
    return {
        "time_s": time.perf_counter() - operation.began,
        "train_s": 0.0,
        "peak_memory_bytes": peak_memory_bytes(),
        "parameters": operation.parameters["after"],
        "trainable_parameters": 0,
        "cache": {},
    }


def assets_of(operation: Operation) -> dict[str, bytes]:
    """The files that the model needs, its test answers, and what its ancestors were trained on."""
    held = operation.store.assets(operation.parent)
    answers = {}
    if operation.examples is not None and "test" in operation.answers["after"]:
        answers = stored.packed(
            operation.answers["after"]["test"], operation.examples.encoded["test"].digests, operation.examples.targets("test")
        )
    kept = {name: content for name, content in held.items() if name in KEPT_ASSETS}
    return {**operation.network.trunk.assets, **kept, **answers}
