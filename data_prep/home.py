"""The user's home, and folders for the caches of libraries where there is none, as for the users of containers."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

CACHES = {"NUMBA_CACHE_DIR": "numba", "MPLCONFIGDIR": "matplotlib", "KERAS_HOME": "keras"}
"""{variable that names a library's cache folder: its name}. numba fails without one; the others are slower or warn."""


def home_folder() -> Path | None:
    """Return the user's home; None if the system knows none."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises if there is none
    return home if home.is_absolute() else None


def provide_caches() -> None:
    """Name a folder for the libraries' caches in the environment if the user's home can't be written.

    Variables that the user has set are kept. Called before the libraries are imported, as they read them then.
    """
    home = home_folder()
    if (home is not None and is_writable(home)) or all(os.environ.get(name) for name in CACHES):
        return
    folder = _private_folder()
    for variable, name in CACHES.items():
        os.environ.setdefault(variable, str(folder / name))


def is_writable(folder: Path) -> bool:
    """Return whether files can be created in a folder, or in its nearest parent if it is to be created."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _private_folder() -> Path:
    """Return a folder that belongs to this user alone, as numba loads code from it; the same for all processes."""
    folder = Path(tempfile.gettempdir()) / f"asc-caches-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise FileExistsError
    except OSError:  # somebody else's
        return Path(tempfile.mkdtemp(prefix="asc-caches-"))
    return folder
