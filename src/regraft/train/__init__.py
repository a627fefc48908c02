"""Training: one loop that executes a plan's phases and knows no strategy by name. ``fit`` is the door."""

from regraft.train.fit import fit
from regraft.train.history import History, Observer

__all__ = ["History", "Observer", "fit"]
