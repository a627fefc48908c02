"""Where models come from: immutable generations, stored once by content. History is readable without torch or numpy."""

from regraft.lineage.record import Generation
from regraft.lineage.store import Store
from regraft.lineage.tensors import TensorData

__all__ = ["Generation", "Store", "TensorData"]
