"""How inner loops are compiled: kept for the next process, without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from numba import njit

OPTIONS: Final[dict[str, Any]] = {"nogil": True, "error_model": "numpy"}
"""What every compiled function is told: other threads run meanwhile, and a division by zero gives infinity."""


def compiled(function: Any) -> Callable[..., None]:
    """Return `function` compiled when it is first called, taken from where it is kept if it can be kept anywhere.

    That is beside its file, in the user's folder for such things, or where NUMBA_CACHE_DIR says, until its file
    changes: what it calls belongs into the same file.
    """
    try:
        kept: Callable[..., None] = njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # no such place is writable: each process compiles for itself
        return compiled_here(function)
    return kept


def compiled_here(function: Any) -> Callable[..., None]:
    """Return `function` compiled as part of whatever compiled function calls it."""
    part: Callable[..., None] = njit(**OPTIONS)(function)
    return part
