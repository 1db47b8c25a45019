"""The lock of a run in shared storage: one driver at a time; the lock of a dead driver is taken over.

Object stores have no locks that are released when a process exits. Instead, a driver creates a numbered object that
must not exist yet (`Store.create`) and rewrites it every few seconds (a heartbeat). The holder is the driver with the
highest number. Another driver watches this object: if a heartbeat follows, it is refused; if none follows for
`DEAD_S`, the holder is considered dead and the next number is created. A holder that was only suspended cannot do harm
when it resumes, because ledger segments are created with the same condition (`results/storage/stored_ledger.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_prep.errors import AscError, RunError
from data_prep.store.store import Store

BEAT_S = 10.0
"""Seconds between heartbeats."""
DEAD_S = 45.0
"""Seconds without a heartbeat after which the holder is considered dead: four missed heartbeats."""
POLL_S = 0.5


class StorageLock:
    """The lock of a run, used as a context manager or with `acquire` and `release`."""

    def __init__(self, store: Store, *, beat_s: float = BEAT_S, dead_s: float = DEAD_S) -> None:
        """Create a lock without acquiring it.

        Args:
            store: location used for the lock's objects only.
            beat_s: seconds between heartbeats.
            dead_s: seconds without a heartbeat after which a holder is considered dead; equal for all drivers.
        """
        self._store = store
        self._beat_s = beat_s
        self._dead_s = dead_s
        self._me: dict[str, Any] = {**_this_process(), "token": uuid.uuid4().hex, "beat": 0}
        self._number = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, on_wait: Callable[[str], None] = lambda text: None) -> None:
        """Acquire the lock, waiting up to `dead_s` seconds to find out whether its holder is alive.

        Args:
            on_wait: called with a message about the holder before waiting.

        Raises:
            RunError: if another live driver holds the lock.
            DataError: if the storage cannot be reached.
        """
        while True:
            number, holder = self._holder()
            if holder is not None and not _is_dead_here(holder):
                self._watch(number, holder, on_wait)
            if self._store.create(_name(number + 1), self._content()):
                break
        self._number = number + 1
        for name in self._store.names():
            if _is_number(name) and name < _name(self._number):
                self._store.remove(name)
        self._thread = threading.Thread(target=self._beat, name="asc-storage-lock", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Release the lock. Can be called repeatedly."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            with contextlib.suppress(AscError):  # without heartbeats it becomes stale
                self._store.remove(_name(self._number))

    def __enter__(self) -> StorageLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _holder(self) -> tuple[int, dict[str, Any] | None]:
        """Return the highest number and its driver; (0, None) if the lock is free."""
        while numbers := [int(Path(name).stem) for name in self._store.names() if _is_number(name)]:
            number = max(numbers)
            with contextlib.suppress(FileNotFoundError):  # released in the meantime: retry
                return number, _driver(self._store.read(_name(number)))
        return 0, None

    def _watch(self, number: int, holder: dict[str, Any], on_wait: Callable[[str], None]) -> None:
        """Return when the holder has released the lock or is considered dead; raise RunError if it is alive."""
        who = f"{holder.get('host')} (process {holder.get('pid')}, since {holder.get('since')})"
        on_wait(
            f"{self._store.path_text('')}: {who} has locked this run. Waiting {self._dead_s:.0f} s for a sign of life …"
        )
        until = time.monotonic() + self._dead_s
        while time.monotonic() < until:
            time.sleep(min(POLL_S, self._beat_s / 4))
            now, current = self._holder()
            if current is None or now != number:
                return
            if current.get("beat") != holder.get("beat"):
                raise RunError(
                    f"{self._store.path_text('')}: another asc process is working on this run: {who}. Wait until it "
                    "ends or stop it, then rerun the same command. If it is killed, its lock expires within "
                    f"{self._dead_s:.0f} s."
                )

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_s):
            self._me["beat"] += 1
            with contextlib.suppress(AscError):  # an unreachable storage is reported by other accesses
                self._store.write(_name(self._number), self._content())

    def _content(self) -> bytes:
        return json.dumps(self._me).encode()


def _driver(data: bytes) -> dict[str, Any]:
    """Return the driver that a lock's object describes; {} if it is damaged: it is then watched like any other."""
    try:
        driver = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return driver if isinstance(driver, dict) else {}


def _name(number: int) -> str:
    return f"{number:08d}.json"


def _is_number(name: str) -> bool:
    return name.endswith(".json") and Path(name).stem.isdigit()


def _this_process() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "started": _start_of(os.getpid()),
    }


def _machine() -> str | None:
    """Return an id shared only by processes of the same boot and PID namespace; None if unavailable."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _start_of(pid: int) -> str | None:
    """Return the start time of a process in ticks since boot; None if there is no such live process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _is_dead_here(holder: dict[str, Any]) -> bool:
    """Return whether the holder was a process on this machine that no longer exists."""
    machine = _machine()
    if machine is None or holder.get("machine") != machine:
        return False
    return _start_of(holder.get("pid", 0)) != holder.get("started")
