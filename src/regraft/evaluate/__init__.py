"""Evidence: prediction over a split, metrics with intervals, comparison of two models, and the linear probe's solver.

Knows trunks and data, never plans or training. ``document`` is the ``evaluate`` document of the command line.
"""

from regraft.evaluate.document import document

__all__ = ["document"]
