"""What is frozen is computed once: activations at the boundary, kept on disk, shared by epochs, phases and plans.

boundary   stop where a stage is entered, and start again there       placeholder, shape_law, skip, entrance: how
layout     how one row of what enters is stored
store      entries by key: written once, checked, evicted             writer, entries, chunked, locks: how
key        the name of entries: a digest of all that their values depend on
derive     one source for several boundaries
worth      whether reading will be cheaper than computing
"""

from regraft.cache.boundary import Boundary, Equality, capture_many
from regraft.cache.entries import Entries
from regraft.cache.layout import Layout, layout_of
from regraft.cache.placeholder import NotReproduced
from regraft.cache.store import Cache

__all__ = ["Boundary", "Cache", "Entries", "Equality", "Layout", "NotReproduced", "capture_many", "layout_of"]
