"""One page of ratios: the speed benchmarks in turn, each over its strongest peer, with its limit.

    python tests/benchmarks/bench.py --out FOLDER [--only NAME ...] [--tiny]

FOLDER gets `bench.md`, the table with the machine and the versions, and the output of every script as `NAME.txt`. Run
it on a quiet machine: ratios of runs that alternate bear some load, none of them much. `--tiny` only proves that the
scripts and the table work; its page says so.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from asc_models.processor import instruction_set, processor_name

HERE = Path(__file__).parent
PACKAGES = ("tensorflow", "keras", "librosa", "numpy", "ray", "optuna")
TINY = "A tiny run, to test the scripts. Its numbers mean nothing."


@dataclass(frozen=True)
class Reading:
    """A ratio in the output of a script."""

    what: str
    """What is measured."""
    peer: str
    """What it is compared with."""
    ratio: str
    """Pattern whose group is the ratio, or the numerator."""
    over: str = ""
    """Pattern whose group is the denominator; "" if `ratio` is the ratio."""
    limit: str = "–"
    """What cannot be exceeded."""
    reached: str = ""
    """Pattern whose group is the share of the limit that is reached; "" if none is printed."""

    def row(self, output: str) -> tuple[str, ...]:
        """Return the cells of the table.

        Raises:
            ValueError: if the output lacks a value.
        """
        ratio = _number(self.ratio, output) / (_number(self.over, output) if self.over else 1.0)
        reached = _found(self.reached, output) if self.reached else "–"
        return self.what, f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2f}", self.peer, self.limit, reached


@dataclass(frozen=True)
class Script:
    """A benchmark script with its arguments and what is read from its output."""

    readings: tuple[Reading, ...]
    arguments: tuple[str, ...] = ()
    tiny: tuple[str, ...] = ()


OURS_1, OURS_2, STOCK_2 = (
    rf"^{text}" for text in ("ours, 1 × 2 threads", "ours, 2 × 1 thread", "stock fit, 2 × 1 thread")
)
RATIO = r"\s+[\d.]+\s+([\d.]+)\s"
OF_PEAK = r"\s+[\d.]+\s+[\d.]+\s+\S+\s+[\d.]+\s+([\d.]+%)"
PRODUCT = "a float32 matrix product"
SCRIPTS = {
    "features": Script(
        (
            Reading(
                "log-mel of a 10 s WAV file",
                "librosa on soundfile",
                r"^plain\s+[\d.]+\s+[\d.]+\s+([\d.]+)$",
                limit="reading and the bare transform",
                reached=r"^reached of the floor, our transform: (\d+%)",
            ),
        ),
        tiny=("--clips", "3", "--rounds", "1"),
    ),
    "training": Script(
        (
            Reading("training, 1 × 2 threads", "Keras `fit`", OURS_1 + RATIO, limit=PRODUCT, reached=OURS_1 + OF_PEAK),
            Reading(
                "training, 2 × 1 thread",
                "Keras `fit`, 2 × 1 thread",
                OURS_2 + RATIO,
                over=STOCK_2 + RATIO,
                limit=PRODUCT,
                reached=OURS_2 + OF_PEAK,
            ),
        ),
        tiny=("--rounds", "1", "--steps", "1"),
    ),
    "depthwise": Script(
        tuple(
            Reading(
                f"gradients of a depthwise convolution, {case}",
                "TensorFlow",
                rf"^{case}\s+[\d.]+\s+[\d.]+\s+[\d.]+\s+([\d.]+)\s",
                limit="twice the forward pass",
                reached=rf"^{case}.*?(\d+%)$",
            )
            for case in ("float32, 5 × 5, stride 1", "float32, 5 × 5, stride 2")
        ),
        tiny=("--rounds", "1"),
    ),
    "reader": Script(
        (Reading("training batches made", "batches trained on", r"^reader .*?([\d.]+) times the trainer's$"),),
        tiny=("--clips", "400", "--rounds", "1", "--steps", "1"),
    ),
    "rung_reading": Script(
        (Reading("export and score of a rung", "converting again", r"^cao2021-system4 .*?([\d.]+)\s+\d+$"),),
        tiny=("--clips", "4", "--rounds", "1"),
    ),
    "estimate": Script(
        (Reading("size of a network", "building it in Keras", r"^cao2021-system4 .*?([\d,]+)$"),),
    ),
    "search_overhead": Script(
        (
            Reading(
                "a trial's own time",
                "overhead of the search per trial",
                r"^a trial's own .*median ([\d.]+) s$",
                over=r"^per trial: ([\d.]+) s$",
            ),
        ),
        tiny=("--trials", "3"),
    ),
}
"""{script in this folder: what is run and read}; searches are compared by `search_report.py`, which times nothing."""


def _found(pattern: str, output: str) -> str:
    match = re.search(pattern, output, re.MULTILINE)
    if match is None:
        raise ValueError(f"the output has no line like {pattern}")
    return match[1]


def _number(pattern: str, output: str) -> float:
    return float(_found(pattern, output).replace(",", ""))


def rows_of(name: str, output: str) -> list[tuple[str, ...]]:
    """Return the rows of a script's output; a value that is missing is a row with the reason."""
    rows = []
    for reading in SCRIPTS[name].readings:
        try:
            rows.append(reading.row(output))
        except (ValueError, ZeroDivisionError) as error:
            rows.append((reading.what, "not measured", reading.peer, reading.limit, str(error).replace("|", "\\|")))
    return rows


def run(name: str, *, tiny: bool) -> str:
    """Run a script and return its output; a script that fails returns what it printed."""
    script = SCRIPTS[name]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(HERE / f"{name}.py"), *(script.tiny if tiny else script.arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else f"{done.stdout}{done.stderr}"


def page(rows: list[tuple[str, ...]], *, tiny: bool) -> str:
    """Return the table as Markdown, with what its numbers depend on."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    cpus, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    flag = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "unset")
    lines = ["# Speed", "", *([f"**{TINY}**", ""] if tiny else [])]
    lines += [f"{cpus} × {processor_name()} ({instruction_set()}), TF_ENABLE_ONEDNN_OPTS={flag}, load {load:.1f};"]
    lines += [f"Python {sys.version.split()[0]}, {versions}; {datetime.now().astimezone():%Y-%m-%d}", ""]
    lines += ["Ratio: how many times as fast as the peer.", ""]
    lines += ["| benchmark | ratio | over | limit | reached of it |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


def main() -> None:
    """Run the scripts and write the page after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the page and the outputs")
    parser.add_argument("--only", nargs="+", choices=list(SCRIPTS), default=list(SCRIPTS))
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, ...]] = []
    for name in options.only:
        print(name, flush=True)
        output = run(name, tiny=options.tiny)
        (options.out / f"{name}.txt").write_text(output)
        rows += rows_of(name, output)
        (options.out / "bench.md").write_text(page(rows, tiny=options.tiny))
    print(page(rows, tiny=options.tiny))


if __name__ == "__main__":
    main()
