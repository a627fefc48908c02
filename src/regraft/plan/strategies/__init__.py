"""The strategies of the field, one short pure function to a file. The listing of this folder is the catalogue. Free of torch."""

from regraft.plan.strategies.adapter import adapter
from regraft.plan.strategies.bias_only import bias_only
from regraft.plan.strategies.discriminative_lr import discriminative_lr
from regraft.plan.strategies.freeze import freeze
from regraft.plan.strategies.full import full
from regraft.plan.strategies.gradual_unfreezing import gradual_unfreezing
from regraft.plan.strategies.linear_probe import linear_probe
from regraft.plan.strategies.lora import lora
from regraft.plan.strategies.lp_ft import lp_ft
from regraft.plan.strategies.norm_only import norm_only
from regraft.plan.strategies.scratch import scratch
from regraft.plan.strategies.solve_head import solve_head
from regraft.plan.strategies.statistics import statistics
from regraft.plan.strategies.surgical import surgical
from regraft.plan.strategies.top import top

__all__ = [
    "adapter", "bias_only", "discriminative_lr", "freeze", "full", "gradual_unfreezing", "linear_probe", "lora", "lp_ft", "norm_only",
    "scratch", "solve_head", "statistics", "surgical", "top",
]  # fmt: skip
