"""Tasks: what is learned. One file per task; ``of(name)`` finds one."""

from regraft.tasks.registry import names, of
from regraft.tasks.task import Task

__all__ = ["Task", "names", "of"]
