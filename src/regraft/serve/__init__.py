"""Serving: a model from a generation alone, and its predictions. Never imports plans or training.

``Predictor`` answers; ``rebuild.network`` makes the network that it asks.
"""

from regraft.serve.predictor import Predictor

__all__ = ["Predictor"]
