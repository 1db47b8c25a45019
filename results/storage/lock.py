"""The lock of a run in shared storage: one driver at a time, and one that died gives way.

Object stores have no lock that goes with its process. So a driver writes an object with a number of its own, on the
condition that nobody has (`Store.create`), and rewrites it every few seconds; the highest number is the holder. Who
comes later watches: a beat means that the holder lives, and the newcomer is refused; no beat for long enough means that
it died, and the next number is taken. A holder that merely slept and wakes up superseded can do no harm: the ledger's
segments are written on condition too (`results/storage/stored_ledger.py`).
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
from data_prep.store import Store

BEAT_S = 10.0
"""How often a holder tells that it lives."""
DEAD_S = 45.0
"""A holder that has told nothing for so long is dead: four beats missed."""
POLL_S = 0.5


class StorageLock:
    """A run's lock. `acquire`, then `release`; also as a context."""

    def __init__(self, store: Store, *, beat_s: float = BEAT_S, dead_s: float = DEAD_S) -> None:
        """Take a place for the lock's objects alone.

        Args:
            store: the place.
            beat_s: seconds between two beats of the holder.
            dead_s: seconds without a beat after which a holder counts as dead; the same for all drivers.
        """
        self._store = store
        self._beat_s = beat_s
        self._dead_s = dead_s
        self._me: dict[str, Any] = {**_this_process(), "token": uuid.uuid4().hex, "beat": 0}
        self._number = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, on_wait: Callable[[str], None] = lambda text: None) -> None:
        """Become the holder.

        Args:
            on_wait: told whom it waits for, where it has to.

        Raises:
            RunError: if another driver lives and holds it.
            DataError: if the storage can't be reached.
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
        """Give the lock back; twice is harmless."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            with contextlib.suppress(AscError):  # it goes stale by itself
                self._store.remove(_name(self._number))

    def __enter__(self) -> StorageLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _holder(self) -> tuple[int, dict[str, Any] | None]:
        """Return the highest number and who wrote it; (0, None) where nobody holds the lock."""
        while numbers := [int(Path(name).stem) for name in self._store.names() if _is_number(name)]:
            number = max(numbers)
            with contextlib.suppress(FileNotFoundError):  # given back meanwhile: look again
                return number, dict(json.loads(self._store.read(_name(number))))
        return 0, None

    def _watch(self, number: int, holder: dict[str, Any], on_wait: Callable[[str], None]) -> None:
        """Return once the holder has given the lock back or is known to be dead; raise RunError if it lives."""
        who = f"{holder.get('host')} (process {holder.get('pid')}, since {holder.get('since')})"
        on_wait(
            f"{self._store.place('')}: another asc on {who} has this run. Looking for {self._dead_s:.0f} s whether it "
            "lives …"
        )
        until = time.monotonic() + self._dead_s
        while time.monotonic() < until:
            time.sleep(min(POLL_S, self._beat_s / 4))
            now, current = self._holder()
            if current is None or now != number:
                return
            if current.get("beat") != holder.get("beat"):
                raise RunError(
                    f"{self._store.place('')}: another asc on {who} is working on this run. Wait until it ends or "
                    f"stop it, then give the same command again; if it is killed, its lock goes within "
                    f"{self._dead_s:.0f} s."
                )

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_s):
            self._me["beat"] += 1
            with contextlib.suppress(AscError):  # a storage out of reach is told by whatever needs it
                self._store.write(_name(self._number), self._content())

    def _content(self) -> bytes:
        return json.dumps(self._me).encode()


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
    """Return what only processes of this boot and this process table share; None where it can't be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _start_of(pid: int) -> str | None:
    """Return when a process was started, in ticks since boot; None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _is_dead_here(holder: dict[str, Any]) -> bool:
    """Return whether the holder was a process of this very machine that is no more."""
    machine = _machine()
    return machine is not None and holder.get("machine") == machine and _start_of(holder["pid"]) != holder["started"]
