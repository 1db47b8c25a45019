"""Memory and rate of `prepare` over the length of the list: 500 clips and 20,000, the same recordings linked again.

    python tests/benchmarks/prepare_memory.py [--clips 500 20000] [--seconds 10] [--workers 2]

Prints for each list the clips per second, the peak resident memory of the parent and of its largest worker, and how
long the last rate makes 230,350 clips take: TAU Urban Acoustic Scenes 2022 Mobile, with `--seconds 1`. Memory is read
from the kernel (`VmHWM` of every process of the tree, every 50 ms).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

N_RECORDINGS = 100
TAU_2022_CLIPS = 230_350
SCRIPT = """
import sys
from pathlib import Path
from data_prep.config import FeatureSpec, PrepareConfig, QuarantineSpec
from data_prep.prepare.prepare import prepare

if __name__ == "__main__":
    root, shards, n_workers, seconds = sys.argv[1:]
    features = FeatureSpec(clip_seconds=float(seconds))
    config = PrepareConfig(features=features, quarantine=QuarantineSpec(duplicates="keep"))
    done = prepare(Path(root), Path(shards), config, n_workers=int(n_workers))
    print(done.n_clips, done.seconds)
"""


def make_list(root: Path, recordings: Path, n_clips: int) -> None:
    """Write a data set of `n_clips` names, each a link to one of the recordings."""
    (root / "audio").mkdir(parents=True)
    (root / "evaluation_setup").mkdir()
    lines: dict[str, list[str]] = {"train": ["filename\tscene_label"], "evaluate": ["filename\tscene_label"]}
    for number in range(n_clips):
        scene = ("bus", "park")[number % 2]
        name = f"{scene}-lyon-{number // 20}-{number}-a.wav"
        os.link(recordings / f"{number % N_RECORDINGS}.wav", root / "audio" / name)
        lines["evaluate" if (number // 20) % 5 == 0 else "train"].append(f"audio/{name}\t{scene}")
    for kind, rows in lines.items():
        (root / "evaluation_setup" / f"fold1_{kind}.csv").write_text("\n".join(rows) + "\n")


def peak_kb(pid: int) -> int:
    """Return the peak resident memory of a process in kB, 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in found]


def measure(root: Path, shards: Path, n_workers: int, clip_seconds: float) -> tuple[float, float, float, float]:
    """Return (clips per second, whole seconds, parent's peak in MB, largest worker's peak in MB)."""
    script = shards.with_suffix(".py")  # spawned workers import the main module: it must be a file
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script), str(root), str(shards), str(n_workers), str(clip_seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    parent, worker = 0, 0
    while process.poll() is None:
        parent = max(parent, peak_kb(process.pid))
        worker = max([worker, *(peak_kb(child) for child in children(process.pid))])
        time.sleep(0.05)
    if process.returncode or process.stdout is None:
        sys.exit("prepare failed")
    n_clips, seconds = process.stdout.read().split()
    return int(n_clips) / float(seconds), float(seconds), parent / 1000, worker / 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[500, 20_000])
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a clip")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(f"{'clips':>8} {'clips/s':>8} {'s':>7} {'parent MB':>10} {'worker MB':>10}")
    with tempfile.TemporaryDirectory(prefix="asc-memory-") as folder:
        recordings = Path(folder) / "recordings"
        recordings.mkdir()
        rng = np.random.default_rng(0)
        for number in range(N_RECORDINGS):
            y = 0.1 * rng.standard_normal(int(44_100 * options.seconds))
            soundfile.write(recordings / f"{number}.wav", y, 44_100, subtype="PCM_16")
        rate = 0.0
        for n_clips in options.clips:
            root = Path(folder) / f"list{n_clips}"
            make_list(root, recordings, n_clips)
            rate, seconds, parent, worker = measure(
                root, Path(folder) / f"shards{n_clips}", options.workers, options.seconds
            )
            print(f"{n_clips:>8,} {rate:>8.0f} {seconds:>7.1f} {parent:>10.0f} {worker:>10.0f}", flush=True)
    print(f"{TAU_2022_CLIPS:,} clips of {options.seconds:g} s at the last rate: {TAU_2022_CLIPS / rate / 60:.0f} min")


if __name__ == "__main__":
    main()
