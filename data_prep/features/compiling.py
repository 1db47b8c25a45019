"""Compilation of inner loops: cached between processes, without the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from numba import njit

OPTIONS: Final[dict[str, Any]] = {"nogil": True, "error_model": "numpy"}
"""Options of all compiled functions: the GIL is released, and division by zero gives infinity."""


def compiled(function: Any) -> Callable[..., None]:
    """Return `function` compiled at its first call, or loaded from the cache.

    The cache is next to its file, in the user's cache folder, or in NUMBA_CACHE_DIR. It is valid until that file
    changes, so functions that it calls must be in the same file.
    """
    try:
        kept: Callable[..., None] = njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # no cache folder is writable: each process compiles
        return compiled_here(function)
    return kept


def compiled_here(function: Any) -> Callable[..., None]:
    """Return `function` compiled as part of the compiled functions that call it."""
    part: Callable[..., None] = njit(**OPTIONS)(function)
    return part
