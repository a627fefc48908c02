"""Advice: from facts about the data, a probe on frozen features and the machine to a plan with reasons. It trains nothing.

``probe.probe`` measures what the features know; ``strategy.choose`` and ``model.choose`` decide; ``priors`` holds the tables.
"""
