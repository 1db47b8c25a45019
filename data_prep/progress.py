"""How long work tells of its progress without knowing who shows it."""

from collections.abc import Callable

ProgressCallback = Callable[[int, int], None]
"""Called as `on_progress(n_done, n_total)`."""
