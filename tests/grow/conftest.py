"""Growth on a small model and a small CSV: the fixtures are those of ``small``."""

from small import data, model  # noqa: F401
