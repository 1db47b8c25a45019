"""Ray for as long as it is needed, silent, and nothing of it left behind."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from data_prep.errors import RunError
from search.cluster.scratch import scratch_folder

OBJECT_STORE_BYTES = 100_000_000
"""Shared memory of a Ray started here. Trials read their shards themselves, so next to nothing passes through it."""
N_STARTS = 3
"""How often a start that took too long is tried."""
CONNECT_S = 10.0
"""How long a cluster's address may take to answer."""

MAX_FOLDER = 26
"""Characters of the folder for temporary files: a socket's path has 107, and Ray adds 81 of its own."""

ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # an actor that asked for no GPU sees none
    "RAY_AIR_NEW_OUTPUT": "0",  # the new one prints a header also where it is told to be silent
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anyone
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger takes their place
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the sweep here too, not only Tune's loop
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # Tune's own snapshots are not used
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
"""Settings of Ray that are read from the environment; what the user has set there stands."""


def cluster_address(address: str | None) -> str | None:
    """Return the cluster to work on: the one given, else that of RAY_ADDRESS; None where Ray is started here.

    `local` means here, also where RAY_ADDRESS is set, as it is in a submitted job.
    """
    chosen = address or os.environ.get("RAY_ADDRESS") or None
    return None if chosen == "local" else chosen


@contextmanager
def ray_session(address: str | None, n_cpus: int) -> Iterator[None]:
    """Connect to the Ray cluster at `address`, or start Ray here with `n_cpus`; end what was started.

    A Ray that this process uses already is used, and left running. `address` None takes RAY_ADDRESS where it is set.

    Raises:
        RunError: if there is no cluster at `address`, or it doesn't let us in.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    logger = logging.getLogger("ray")
    cluster = cluster_address(address)
    with ExitStack() as ending:
        if not ray.is_initialized():
            if cluster is None:
                folder = ending.enter_context(scratch_folder("asc-ray-", ray_parent()))
            ending.callback(ray.shutdown)
            if cluster is None:
                _start(folder, n_cpus)
            else:
                _connect(cluster)
        ending.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL)  # what fails in a trial is told through the ledger
        yield


def ray_parent() -> Path | None:
    """Return where Ray's folder goes: as for all temporary files, or where sockets have paths that are short enough."""
    return None if len(tempfile.gettempdir()) <= MAX_FOLDER else Path("/tmp")


def _start(folder: Path, n_cpus: int) -> None:
    """Start Ray here. It gives itself 30 seconds, which a busy machine may miss once or twice."""
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
                _temp_dir=str(folder),
            )
        except Exception as error:  # Ray has no class of its own for it
            ray.shutdown()
            if "timed out during startup" not in str(error):
                said = next(iter(str(error).strip().splitlines()), type(error).__name__)
                raise RunError(f"Ray can't be started here: {said}") from error
            if not left:
                raise RunError(
                    f"Ray did not start here within 30 seconds, {N_STARTS} times: the machine is busy with something "
                    "else. Nothing that was finished is lost: give the same command again once it has time."
                ) from None
        else:
            return


def _connect(address: str) -> None:
    import ray

    host, separator, port = address.rpartition(":")
    try:
        if separator and port.isdigit() and "://" not in address:  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise RunError(f"no Ray cluster lets us in at {address}: {said}. {_way_in()}") from None


def _way_in() -> str:
    """Return what to look after where a cluster can't be reached, as far as can be seen from here."""
    mode = os.environ.get("RAY_AUTH_MODE", "not set")
    has_token = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return (
        "Give the address that `ray start` printed on the head (HOST:6379; `auto` on a node of the cluster itself), "
        "and set RAY_AUTH_MODE=token with the cluster's own token in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, here and "
        f"on every node (here RAY_AUTH_MODE is {mode}, a token is {'set' if has_token else 'not set'})."
    )
