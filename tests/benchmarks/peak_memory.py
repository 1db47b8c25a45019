"""Peak memory of one inference beside the estimate of activation bytes.

    python tests/benchmarks/peak_memory.py

For every preset as float32: the estimate; the interpreter's arena (its own kernels, by the addresses of the tensors);
and by how much the process grows from before the interpreter is made to behind an inference with its default delegate
(XNNPACK, one thread), which holds packed weights and its own activations (`VmHWM`, a process for each).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from arena_support import arena_bytes

from asc_models.networks.estimate import estimate
from asc_models.networks.presets import PRESETS
from asc_models.tflite.export import export
from asc_models.training.builder import build
from data_prep.config import FeatureSpec, ReaderSpec

SCRIPT = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

before = peak()
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
interpreter.invoke()
print(peak() - before)
"""


def growth_bytes(path: Path) -> int:
    """Return by how much a fresh process grows over one inference."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def main() -> None:
    """Print the table."""
    print(f"{'network':<22}{'input':>16}{'estimate':>12}{'arena':>12}{'ratio':>7}{'process':>12}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        for name, facts in PRESETS.items():
            own = facts.input_shape
            shape = own(facts.seconds) if own else ReaderSpec().input_shape(FeatureSpec())
            export(build(facts.network, shape, 10), shape, path, "float32")
            expected, arena = estimate(facts.network, shape, 10).peak_activation_bytes, arena_bytes(path)
            size = " × ".join(map(str, shape))
            print(f"{name:<22}{size:>16}{expected:>12,}{arena:>12,}{arena / expected:>7.2f}{growth_bytes(path):>12,}")


if __name__ == "__main__":
    main()
