"""The processor and its instruction set, which numerical results and speed depend on."""

from __future__ import annotations

from pathlib import Path

INSTRUCTION_SETS = ("amx_int8", "avx512_bf16", "avx512_vnni", "avx_vnni", "avx512f", "avx2", "avx", "sve", "asimd")
"""Names as in /proc/cpuinfo, most capable first."""
CPUINFO = Path("/proc/cpuinfo")
UNKNOWN = "unknown"


def instruction_set(cpuinfo: Path = CPUINFO) -> str:
    """Return the most capable vector instruction set of this processor; "unknown" if the system does not list any."""
    flags = {flag for name, value in _fields(cpuinfo) if name in ("flags", "features") for flag in value.split()}
    return next((name for name in INSTRUCTION_SETS if name in flags), UNKNOWN)


def processor_name(cpuinfo: Path = CPUINFO) -> str:
    """Return the model of this processor, such as "AMD EPYC 7763"; "unknown" if the system does not tell."""
    return next((value for name, value in _fields(cpuinfo) if name == "model name"), UNKNOWN)


def _fields(cpuinfo: Path) -> list[tuple[str, str]]:
    """Return (name in lower case, value) of each line; [] if the file can't be read."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    parts = (line.partition(":") for line in lines)
    return [(name.strip().lower(), value.strip()) for name, _, value in parts]
