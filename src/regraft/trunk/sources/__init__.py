"""Where models come from: one file for each source, each ``load(reference, wanted) -> Trunk``; libraries also ``rebuild``."""
