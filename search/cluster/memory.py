"""Memory, disk and GPUs of this machine, as plain values; None where the system does not tell."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
"""Limits of a container."""
SHARED = Path("/dev/shm")
"""Shared memory, where Ray keeps its objects."""
GPU_TIMEOUT_S = 30.0
"""A GPU that hangs does not answer."""


def memory_facts(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> dict[str, int | None]:
    """Return bytes of memory and how many are available, with the limit of a container, if it has one.

    Args:
        meminfo: the system's file.
        cgroup: the container's folder.
    """
    fields = {}
    for line in _text(meminfo).splitlines():
        name, _, value = line.partition(":")
        fields[name] = int(value.split()[0]) * 1024 if value.split()[:1] and value.split()[0].isdigit() else None
    total, available = fields.get("MemTotal"), fields.get("MemAvailable")
    limit, used = (_number(cgroup / name) for name in ("memory.max", "memory.current"))
    if limit is not None and (total is None or limit < total):
        left = limit if used is None else max(0, limit - used)
        total, available = limit, left if available is None else min(available, left)
    return {"memory_bytes": total, "memory_available_bytes": available}


def disk_facts(shared: Path = SHARED) -> dict[str, int | None]:
    """Return the free bytes of the folder for temporary files, and of shared memory.

    Args:
        shared: mount point of shared memory.
    """
    return {
        "temporary_free_bytes": shutil.disk_usage(tempfile.gettempdir()).free,
        "shared_free_bytes": shutil.disk_usage(shared).free if shared.is_dir() else None,
    }


def gpu_facts(command: str = "nvidia-smi") -> list[dict[str, Any]]:
    """Return name, bytes of memory, and free bytes of each NVIDIA GPU; [] if there is none, or no driver.

    Args:
        command: name or path of the driver's program.
    """
    query = [command, "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, errors="replace", timeout=GPU_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = []
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        name, *numbers = (part.strip() for part in line.rsplit(",", 2))
        total, free = (int(number) * 2**20 if number.isdigit() else None for number in numbers)
        found.append({"name": name, "memory_bytes": total, "memory_free_bytes": free})
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    """Return the number in a file; None if there is none, as for no limit ("max")."""
    text = _text(path).strip()
    return int(text) if text.isdigit() else None
