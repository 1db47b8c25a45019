"""Keeps Keras from importing what only its wrappers and plots use: a third of the time that its import takes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

EXTRAS = frozenset({"matplotlib", "sklearn"})
"""Packages that Keras imports if they are installed, and does without if they are not."""


class _NoExtras(MetaPathFinder):
    """Answers Keras, and nobody else, that the extras are not installed."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Return None, so that others find the module, unless Keras asks for an extra.

        Raises:
            ModuleNotFoundError: if Keras asks for one.
        """
        if fullname in EXTRAS and _importer().partition(".")[0] == "keras":
            raise ModuleNotFoundError(f"{fullname} is kept from Keras by {__name__}", name=fullname)


def _importer() -> str:
    """Return the name of the module that contains the import statement in execution."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"] in (__name__, "importlib._bootstrap"):
        frame = frame.f_back
    return str(frame.f_globals["__name__"])


def keep_extras_from_keras() -> None:
    """Let later imports of Keras pass without the extras; what other code imports is not affected."""
    if not any(isinstance(finder, _NoExtras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NoExtras())
