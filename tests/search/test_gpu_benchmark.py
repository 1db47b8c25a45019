"""The GPU benchmark is ready to run: its script works on a processor, and says that it was one."""

import json
import subprocess
import sys

import pytest
from benchmarks.gpu import BUDGETS_S, NOT_A_GPU, page, rows
from process_support import ROOT

SCRIPT = str(ROOT / "tests/benchmarks/gpu.py")
MACHINE = {"gpus": ["A"], "n_cpus": 8, "processor": "P", "instruction_set": "avx2", "tensorflow": "2", "cuda": "12"}


def run(folder, *arguments):
    """Run the script without a GPU in sight."""
    command = [sys.executable, SCRIPT, "--out", str(folder), *arguments]
    environment = {"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "", "HOME": str(folder.parent)}
    return subprocess.run(command, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)


def test_all_parts_fit_in_ten_minutes():
    """Whatever the GPU, the script ends by itself."""
    assert sum(BUDGETS_S.values()) <= 580


def test_a_part_without_result_has_its_reason_on_the_page():
    """Measured parts have a line per set-up, the others their reason; a GPU's page has no warning."""
    rates = {"fed": {"clips_per_s": 1000.0, "gflops": 400.0}, "held": {"clips_per_s": 2000.0, "gflops": 800.0}}
    parts = {
        "float32": {"state": "measured", "by_batch_size": {"16": rates}},
        "search": {"state": "stopped after its budget of 180 s"},
    }
    assert rows(parts) == [
        ("float32", "batch 16, fed", "1,000 clips/s, 400 GFLOP/s"),
        ("float32", "batch 16, held", "2,000 clips/s, 800 GFLOP/s"),
        ("search", "–", "stopped after its budget of 180 s"),
    ]
    found = {"is_gpu": True, "machine": MACHINE, "date": "2026-01-01", "parts": parts}
    assert NOT_A_GPU not in page(found)
    assert NOT_A_GPU in page({**found, "is_gpu": False})


@pytest.mark.system
def test_without_a_gpu_only_the_tiny_version_runs(tmp_path):
    """The whole one is refused with the way out, and writes nothing."""
    done = run(tmp_path / "out")
    assert done.returncode == 1
    assert "TensorFlow sees no GPU" in done.stderr
    assert "--tiny" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_every_part_runs_on_a_processor(tmp_path):
    """The tiny version measures all parts, and both files say that the numbers are not a GPU's."""
    done = run(tmp_path, "--tiny")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert {name: part["state"] for name, part in found["parts"].items()} == dict.fromkeys([*BUDGETS_S][1:], "measured")
    assert found["warning"] == NOT_A_GPU
    assert NOT_A_GPU in (tmp_path / "gpu.md").read_text()
