"""Pages from JSON documents: pure functions that import nothing heavy and read no file but their own style sheet."""

from regraft.report.card import card
from regraft.report.page import html

__all__ = ["card", "html"]
