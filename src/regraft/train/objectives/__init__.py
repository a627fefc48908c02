"""What can be minimised beside the task's loss, or in its place: one objective to a file. The listing of this folder is the catalogue."""

from regraft.train.objectives.distill import distill
from regraft.train.objectives.l2_sp import l2_sp

__all__ = ["distill", "l2_sp"]
