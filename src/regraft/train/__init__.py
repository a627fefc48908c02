"""Training: one loop that executes a plan's phases and knows no strategy by name. ``fit.fit`` is the door; a plan is made without it."""
