"""Outlines written by hand, for tests that need no model; and hypothesis strategies over them."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.plan.strategy import Strategy, parse
from regraft.spec import InputSpec
from regraft.trunk.outline import Outline, StageOutline

quick = settings(deadline=None, max_examples=40)


def outline(num_stages: int = 4, *, probe_length: int = 10, batch_norm: bool = False) -> Outline:
    """A stem and blocks of 1,000 parameters, as of a small encoder; a single stage is a block."""
    blocks = tuple(
        StageOutline(
            name=f"blocks.{i}",
            parameters=1000,
            biases=20,
            norms=8,
            linears=((f"encoder.layer.{i}.attention.self.query", 16, 16), (f"encoder.layer.{i}.output.dense", 32, 16)),
            macs=10_000,
            entry_bytes=640,
            activation_bytes=5_000,
            has_batch_norm=batch_norm,
        )
        for i in range(max(1, num_stages - 1))
    )
    stem = (StageOutline(name="stem", parameters=500, biases=4, norms=8, macs=1_000, entry_bytes=64, activation_bytes=700),)
    return Outline(
        reference="toy",
        family="bert",
        input=InputSpec(kind="text"),
        width=16,
        stages=(*stem, *blocks)[-num_stages:],
        probe_length=probe_length,
    )


def plan(strategy: Strategy | str, over: Outline | None = None, **settings: object) -> Plan:
    over = over or outline()
    strategy = parse(strategy) if isinstance(strategy, str) else strategy
    return Plan(
        task="text-classification",
        model=over.reference,
        strategy=str(strategy),
        stages=(*over.stage_names, "head"),
        phases=strategy(over),
        settings=Settings.from_json(settings),
    )


WORDS = {
    "adapter": st.builds("adapter(width={}, placement={})".format, st.integers(1, 64), st.sampled_from(["houlsby", "pfeiffer"])),
    "bias_only": st.just("bias_only"),
    "discriminative_lr": st.builds("discriminative_lr(decay={})".format, st.floats(0.1, 1.0)),
    "freeze": st.builds("freeze(below={})".format, st.sampled_from(["head", "0", "-1", "blocks", "blocks.0"])),
    "full": st.just("full"),
    "gradual_unfreezing": st.builds("gradual_unfreezing(every={}, decay={})".format, st.integers(1, 15), st.floats(0.1, 1.0)),
    "linear_probe": st.just("linear_probe"),
    "lora": st.builds(
        "lora(rank={}, alpha={}, where={}, variant={})".format,
        st.integers(1, 16), st.floats(0.5, 64), st.sampled_from(["linear", "query", "'query,dense'", "*.dense"]),
        st.sampled_from(["plain", "rslora", "dora", "pissa", "ia3"]),
    ),
    "lp_ft": st.just("lp_ft"),
    "norm_only": st.just("norm_only"),
    "scratch": st.just("scratch"),
    "solve_head": st.just("solve_head"),
    "statistics": st.builds("statistics(width={}, how={})".format, st.integers(1, 5000), st.sampled_from(["ridge", "means"])),
    "surgical": st.builds("surgical(stages={})".format, st.sampled_from(["all", "-1", "'0,-1'", "[blocks.0]", "blocks", "'blocks.0:'"])),
    "top": st.builds("top(n={})".format, st.integers(0, 1)),
}  # fmt: skip
texts = st.one_of(*WORDS.values())
"""What a person types for one strategy, whatever it is, with settings that fit every outline here."""
compositions = st.lists(texts, min_size=1, max_size=3).map("+".join)
