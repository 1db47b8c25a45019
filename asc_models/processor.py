"""What this processor can do that numbers and speed depend on."""

from __future__ import annotations

from pathlib import Path

INSTRUCTION_SETS = ("amx_int8", "avx512_bf16", "avx512_vnni", "avx_vnni", "avx512f", "avx2", "avx", "sve", "asimd")
"""Names of the Linux kernel, the most able first."""


def instruction_set(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the most able vector instructions of this processor; "unknown" where the system does not list them."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    flags = {flag for line in lines if line.lower().startswith(("flags", "features")) for flag in line.split()}
    return next((name for name in INSTRUCTION_SETS if name in flags), "unknown")
