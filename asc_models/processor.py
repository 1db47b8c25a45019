"""The processor's instruction set, which numerical results and speed depend on."""

from __future__ import annotations

from pathlib import Path

INSTRUCTION_SETS = ("amx_int8", "avx512_bf16", "avx512_vnni", "avx_vnni", "avx512f", "avx2", "avx", "sve", "asimd")
"""Names as in /proc/cpuinfo, most capable first."""


def instruction_set(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the most capable vector instruction set of this processor; "unknown" if the system does not list any."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    flags = {flag for line in lines if line.lower().startswith(("flags", "features")) for flag in line.split()}
    return next((name for name in INSTRUCTION_SETS if name in flags), "unknown")
