"""Ray for as long as it is needed, silent, and nothing of it left behind."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

OBJECT_STORE_BYTES = 100_000_000
"""Shared memory of a Ray started here. Trials read their shards themselves, so next to nothing passes through it."""

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


@contextmanager
def ray_session(address: str | None, n_cpus: int) -> Iterator[None]:
    """Connect to the Ray cluster at `address`, or start Ray here with `n_cpus`; end what was started.

    A Ray that this process uses already is used, and left running. `address` None takes RAY_ADDRESS where it is set.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    logger = logging.getLogger("ray")
    level = logger.level
    address = address or os.environ.get("RAY_ADDRESS")
    folder = None
    started = not ray.is_initialized()
    try:
        if started and address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        elif started:
            folder = tempfile.mkdtemp(prefix="asc-ray-")
            ray.init(
                address="local",
                num_cpus=n_cpus,
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=folder,
            )
        logger.setLevel(logging.CRITICAL)  # what fails in a trial is told through the ledger
        yield
    finally:
        logger.setLevel(level)
        if started:
            ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
