"""What can be minimised beside the task's loss, or in its place: one objective to a file. The listing of this folder is the catalogue."""

from regraft.train.objectives.attention_distill import attention_distill
from regraft.train.objectives.class_balanced import class_balanced
from regraft.train.objectives.co_tuning import co_tuning
from regraft.train.objectives.delta import delta
from regraft.train.objectives.dice import dice
from regraft.train.objectives.distill import distill
from regraft.train.objectives.dpo import dpo
from regraft.train.objectives.dwa import dwa
from regraft.train.objectives.ewc import ewc
from regraft.train.objectives.famo import famo
from regraft.train.objectives.feature_distill import feature_distill
from regraft.train.objectives.focal import focal
from regraft.train.objectives.gradnorm import gradnorm
from regraft.train.objectives.l2_sp import l2_sp
from regraft.train.objectives.logit_adjusted import logit_adjusted
from regraft.train.objectives.pcgrad import pcgrad
from regraft.train.objectives.r_drop import r_drop
from regraft.train.objectives.sam import sam
from regraft.train.objectives.task_weights import task_weights
from regraft.train.objectives.uncertainty import uncertainty

__all__ = [
    "attention_distill", "class_balanced", "co_tuning", "delta", "dice", "distill", "dpo", "dwa", "ewc", "famo", "feature_distill", "focal", "gradnorm", "l2_sp", "logit_adjusted", "pcgrad",
    "r_drop", "sam", "task_weights", "uncertainty",
]  # fmt: skip
