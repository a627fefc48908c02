"""The conductor of one plan, and the only writer of generations."""
