"""Memory, disk and GPUs: what the system says, and nothing where it says nothing."""

from __future__ import annotations

import shutil

import pytest

from search.cluster.doctor import LEAST_FREE_BYTES, TRIAL_BYTES, _memory_remarks
from search.cluster.memory import disk_facts, gpu_facts, memory_facts

MEMINFO = (
    "MemTotal:       24684092 kB\nMemFree:        17513796 kB\nMemAvailable:   21272600 kB\nHugePages:       0\nodd\n"
)
GB = 10**9


def system(folder, **files):
    """Write the system's files and return their place."""
    (folder / "meminfo").write_text(MEMINFO)
    for name, text in files.items():
        (folder / f"memory.{name}").write_text(text)
    return folder / "meminfo", folder


@pytest.mark.parametrize(
    ("files", "total", "available"),
    [
        ({}, 24684092 * 1024, 21272600 * 1024),
        ({"max": "max\n", "current": "5\n"}, 24684092 * 1024, 21272600 * 1024),
        ({"max": f"{8 * GB}\n", "current": f"{3 * GB}\n"}, 8 * GB, 5 * GB),
        ({"max": f"{2 * GB}\n", "current": f"{3 * GB}\n"}, 2 * GB, 0),
        ({"max": f"{8 * GB}\n"}, 8 * GB, 8 * GB),
        ({"max": f"{80 * GB}\n"}, 24684092 * 1024, 21272600 * 1024),
    ],
)
def test_memory_is_that_of_the_container_if_that_is_less(files, total, available, tmp_path):
    """Its limit less what it uses, never more than the machine has."""
    assert memory_facts(*system(tmp_path, **files)) == {"memory_bytes": total, "memory_available_bytes": available}


def test_a_system_that_does_not_tell_is_no_failure(tmp_path):
    """No such files, no shared memory, no driver."""
    assert memory_facts(tmp_path / "none", tmp_path) == {"memory_bytes": None, "memory_available_bytes": None}
    assert disk_facts(tmp_path / "none")["shared_free_bytes"] is None
    assert disk_facts(tmp_path)["temporary_free_bytes"] > 0


def remarks(**changes):
    sound = {
        "n_threads": 4,
        "memory_available_bytes": 4 * TRIAL_BYTES,
        "temporary_free_bytes": LEAST_FREE_BYTES,
        "shared_free_bytes": GB,
    }
    return list(_memory_remarks({**sound, **changes}))


def test_what_may_run_out_is_said_with_the_way_out():
    """Nothing on a sound machine or an unknown one; else the amount and the setting."""
    assert remarks() == remarks(memory_available_bytes=None, shared_free_bytes=None) == []
    (memory,) = remarks(memory_available_bytes=4 * GB)
    assert memory.startswith("4.0 GB of memory are available for 4 threads")
    assert memory.endswith("set search.n_concurrent to 2.")
    (disk,) = remarks(temporary_free_bytes=GB)
    assert "set TMPDIR" in disk
    (shared,) = remarks(shared_free_bytes=64 * 2**20)
    assert shared.startswith("67 MB of shared memory are free")
    assert "--shm-size" in shared


@pytest.mark.system
def test_gpus_are_those_of_the_driver(tmp_path):
    """One line each, names with commas included; a program that fails or is missing means none."""
    program = tmp_path / "smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA X, Y, 143771, 143000'\necho 'NVIDIA Z, [N/A], [N/A]'\n")
    program.chmod(0o755)
    assert gpu_facts(str(program)) == [
        {"name": "NVIDIA X, Y", "memory_bytes": 143771 * 2**20, "memory_free_bytes": 143000 * 2**20},
        {"name": "NVIDIA Z", "memory_bytes": None, "memory_free_bytes": None},
    ]
    program.write_text("#!/bin/sh\necho 'no devices were found'\nexit 9\n")
    assert gpu_facts(str(program)) == gpu_facts(str(tmp_path / "missing")) == []
    if shutil.which("nvidia-smi") is None:
        assert gpu_facts() == []
