"""Conductors of the next generation: growing one model, merging several."""
