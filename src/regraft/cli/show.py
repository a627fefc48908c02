"""``regraft show NAME``: one generation, whole. Reads no weights unless asked to verify them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import bytes_text, emit_json, say, seconds_text, table


def run(
    name: options.Name,
    verify: Annotated[
        bool, typer.Option("--verify", help="recompute every recorded digest, its ancestors' and the pretrained weights' too")
    ] = False,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """One generation: where it came from, the grid, metrics, cost."""
    from regraft.lineage import Store
    from regraft.lineage.heads import heads

    lineage = Store.locate(store)
    generation = lineage.get(name)
    document = {**generation.manifest, "digest": generation.digest, "name": generation.name, "verified": verify}
    if verify:
        document["checked"] = lineage.verify_lineage(generation.digest)
    document["heads"] = {head: one.digest for head, one in heads(lineage, generation).items()}
    document.pop("tensors", None)
    emit_json(document) if json else say(text(document))


def text(document: dict[str, Any]) -> str:
    from regraft.plan.explain import grid
    from regraft.plan.plan import Plan

    cost = document.get("cost", {})
    outputs = document["data"].get("outputs", f"{len(document['classes'])} classes")
    parents = ", ".join(parent[:12] for parent in document.get("parents") or [document.get("parent") or ""])
    lines = [
        f"{document['name']}  {document['digest'][:12]}" + (f"  {verified(document['checked'])}" if document["verified"] else ""),
        f"made {document['created'][:16].replace('T', ' ')} from {document['model']}"
        + (f", parent{'s' if ',' in parents else ''} {parents}" if parents else ""),
        f"{document['task']}, {outputs}, data {document['data']['fingerprint'][:12]} ({document['data']['reference']})",
        *(f"further head {head}: {digest[:12]}" for head, digest in document["heads"].items()),
        "",
        grid(Plan.from_json(document["plan"])) if document["plan"]["phases"] else f"{document['strategy']}: nothing was trained",
        "",
        *(f"- {reason}" for reason in document["plan"].get("reasons", [])),
        "",
        metrics_table(document["metrics"]),
        "",
        f"time {seconds_text(cost.get('time_s', 0))}, peak memory {bytes_text(cost.get('peak_memory_bytes', 0))}, "
        f"trained {cost.get('trainable_parameters', 0):,} of {cost.get('parameters', 0):,} parameters, stored {bytes_text(document['stored_bytes'])}",
    ]
    return "\n".join(lines)


def verified(checked: dict[str, int]) -> str:
    return (
        f"verified: {checked['generations']} generations, {checked['bases']} pretrained, {checked['tensors']:,} stored tensors, "
        f"{checked['assets']} files, {bytes_text(checked['bytes'])}"
    )


def metrics_table(metrics: dict[str, dict[str, dict[str, float]]]) -> str:
    """Metrics by split, each with its 95% interval."""
    splits = [split for split in metrics if metrics[split]]
    if not splits:
        return "nothing was measured: the data left no example for valid or test"
    names = list(dict.fromkeys(name for split in splits for name in metrics[split]))
    rows = [[name, *(cell(metrics[split].get(name)) for split in splits)] for name in names]
    sizes = [next(iter(metrics[split].values()))["n"] for split in splits]
    return table(["metric (95% interval)", *(f"{split} (n={n})" for split, n in zip(splits, sizes, strict=True))], rows)


def cell(metric: dict[str, float] | None) -> str:
    return f"{metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}]" if metric else ""
