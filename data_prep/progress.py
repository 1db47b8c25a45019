"""Progress reporting of long operations."""

from collections.abc import Callable

ProgressCallback = Callable[[int, int], None]
"""Called as `on_progress(n_done, n_total)`."""
