"""The data room: what people have, as splits of Arrow tables with one class map. Free of torch but for ``encode``, ``augment`` and ``batching``."""

from regraft.data.dataset import Dataset, Rejected, Split
from regraft.data.load import load, load_known

__all__ = ["Dataset", "Rejected", "Split", "load", "load_known"]
