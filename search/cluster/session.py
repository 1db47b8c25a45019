"""Ray sessions: silent, and stopped with all their files removed at the end."""

from __future__ import annotations

import functools
import logging
import os
import secrets
import signal
import site
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path

from data_prep.errors import RunError
from data_prep.files.scratch import scratch_folder
from data_prep.home import home_folder

OBJECT_STORE_BYTES = 100_000_000
"""Shared memory of a local Ray. Trials read their shards themselves, so hardly anything passes through it."""
N_STARTS = 3
"""Attempts to start Ray if it times out."""
CONNECT_S = 10.0
"""Seconds that a cluster's address may take to answer."""

CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's setting, on every system: whether it can be part of a cluster, which a Ray on the loopback interface cannot."""
IDLE_SERVICES = ("start_monitor", "start_log_monitor", "start_api_server")
"""What starts the autoscaler, the forwarding of logs, and the server of dashboard and state, which nothing here uses on
one machine."""
RAY_FOLDER = "r"
"""Ray's folder, inside one of this user alone: Ray opens its own to everybody, and its logs hold the environment."""
MAX_FOLDER = 24
"""Longest path of the folder for temporary files: a socket's path has at most 107 characters, and Ray adds 83."""

ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # an actor that asked for no GPU sees none
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints a header even at verbosity 0
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",  # no usage statistics are sent
    "RAY_prestart_worker_first_driver": "0",  # processes in advance, which the actors of a search do not use
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger replaces them
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the whole search, not only Tune's loop
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # Tune's own snapshots are not used
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
"""Ray's settings in the environment; those that the user has set are kept."""

ROOT = Path(__file__).parents[2]
"""Folder of the packages."""


def cluster_address(address: str | None) -> str | None:
    """Return the cluster's address: `address`, else RAY_ADDRESS; None if Ray is to be started on this machine.

    `local` means this machine, even if RAY_ADDRESS is set, as it is in a submitted job.

    Raises:
        RunError: if it is the address to which jobs are submitted.
    """
    chosen = address or os.environ.get("RAY_ADDRESS") or None
    if chosen is not None and chosen.startswith(("http://", "https://")):
        source = "--address" if address else "RAY_ADDRESS"
        way = "Pass" if address else "Unset RAY_ADDRESS to work on this machine, or set"
        raise RunError(
            f"{source} {chosen}: is the address to which `ray job submit` sends jobs; nothing else connects to it. "
            f"{way} the address that `ray start` printed on the head (HOST:6379)."
        )
    return None if chosen == "local" else chosen


@contextmanager
def ray_session(address: str | None, n_cpus: int) -> Iterator[None]:
    """Connect to the Ray cluster at `address`, or start Ray on this machine with `n_cpus`, until the block ends.

    If this process is already connected to Ray, that connection is used and kept. `address` defaults to RAY_ADDRESS.

    Raises:
        RunError: if there is no cluster at `address`, or it refuses the connection.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    logger = logging.getLogger("ray")
    cluster = cluster_address(address)
    with ExitStack() as ending:
        if not ray.is_initialized():
            folder = ending.enter_context(scratch_folder("asc-ray-", ray_parent()))
            if cluster is None:
                ending.enter_context(_own_token(folder))
            ending.callback(ray.shutdown)
            with chdir(_import_folder(folder)), _signals_kept():
                if cluster is None:
                    with _on_loopback(), _without_idle_services():
                        _start(folder, n_cpus)
                else:
                    _connect(cluster)
        ending.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL)  # failures of trials are reported in the ledger
        yield


def ray_parent() -> Path | None:
    """Return the parent of Ray's folder; None is the system's default, unless its path is too long for sockets."""
    return None if len(tempfile.gettempdir()) <= MAX_FOLDER else Path("/tmp")


def _import_folder(empty: Path) -> Path:
    """Return the working directory in which to call `ray.init`; Ray's workers search it first when they import.

    In the user's working directory, files such as `search.py` or a folder `results` would be imported instead of the
    packages. It is their own folder, or `empty` if they are installed in one that Python searches anyway.
    """
    installed = {Path(path).resolve() for path in (*site.getsitepackages(), site.getusersitepackages())}
    return empty if ROOT.resolve() in installed else ROOT


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the program's answer to SIGTERM after the block, and give it if SIGTERM comes within.

    Ray installs an answer of its own when it starts, which ends the process without a word.
    """
    answer = signal.getsignal(signal.SIGTERM)
    is_ours = callable(answer) and threading.current_thread() is threading.main_thread()
    try:
        yield
    except SystemExit as end:
        if not is_ours or end.code != signal.SIGTERM:
            raise
        signal.signal(signal.SIGTERM, answer)
        signal.raise_signal(signal.SIGTERM)
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, answer)


@contextmanager
def _own_token(folder: Path) -> Iterator[None]:
    """Give a local Ray a token in `folder` until the block ends, unless the user has one or has chosen another mode.

    Ray itself would write one to the user's home, which containers often lack.
    """
    home = home_folder()
    mode = os.environ.get("RAY_AUTH_MODE", "token").lower()
    has_token = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if mode != "token" or has_token or (home is not None and os.access(home / ".ray" / "auth_token", os.R_OK)):
        yield
        return
    path = folder / "auth_token"
    path.touch(mode=0o600)
    path.write_text(_token(), encoding="ascii")
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    try:
        yield
    finally:
        del os.environ["RAY_AUTH_TOKEN_PATH"]


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Have a Ray that the block starts listen on the loopback interface only, unless the user has set `CLUSTERS`.

    Ray does so by itself on macOS and Windows. Elsewhere it listens on all interfaces, whatever address it is given,
    unless this setting, which it reads when it is imported, is off.
    """
    from ray._private import ray_constants

    if CLUSTERS in os.environ:
        yield
        return
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    os.environ[CLUSTERS] = "0"  # for the processes that Ray starts
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(CLUSTERS, None)


@contextmanager
def _without_idle_services() -> Iterator[None]:
    """Leave out `IDLE_SERVICES` of a Ray that the block starts, which has no setting for it.

    Their start takes as long as that of everything else, four seconds of a processor. In a version of Ray without these
    methods, everything is started.
    """
    from ray._private.node import Node

    kept = {name: getattr(Node, name) for name in IDLE_SERVICES if hasattr(Node, name)}
    for name in kept:
        setattr(Node, name, lambda self, **options: None)
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(Node, name, method)


@functools.cache
def _token() -> str:
    """Return the token of this process's sessions; Ray remembers the first that it reads."""
    return secrets.token_hex(32)


def _start(folder: Path, n_cpus: int) -> None:
    """Start Ray on this machine, repeatedly if it misses its own timeout of 30 seconds on a busy machine."""
    import ray

    for left in reversed(range(N_STARTS)):
        try:
            ray.init(
                address="local",
                num_cpus=n_cpus,
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=str(folder / RAY_FOLDER),
            )
        except Exception as error:  # Ray has no class for this error
            ray.shutdown()
            if "timed out during startup" not in str(error):
                reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
                raise RunError(f"Ray could not be started: {reason}") from error
            if not left:
                raise RunError(
                    f"Ray did not start within 30 seconds, in {N_STARTS} attempts: the machine is too busy. Finished "
                    "work is kept: rerun the same command later to resume."
                ) from None
        else:
            return


def _connect(address: str) -> None:
    import ray

    host, separator, port = address.rpartition(":")
    try:
        if separator and port.isdigit() and "://" not in address:  # Ray itself would retry for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise RunError(f"cannot connect to a Ray cluster at {address}: {reason}. {_connection_hint()}") from None


def _connection_hint() -> str:
    """Return what to check if a cluster cannot be reached."""
    mode = os.environ.get("RAY_AUTH_MODE", "not set")
    has_token = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return (
        "Pass the address that `ray start` printed on the head (HOST:6379, or `auto` on a node of the cluster), and "
        "set RAY_AUTH_MODE=token with the cluster's token in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, here and on every "
        f"node (here RAY_AUTH_MODE is {mode}, a token is {'set' if has_token else 'not set'})."
    )
