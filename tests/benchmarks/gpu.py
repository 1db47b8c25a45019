"""What a GPU gives: training, several trainings on one, and five folds of ESC-10, in under ten minutes.

    python tests/benchmarks/gpu.py --out FOLDER [--esc10 ESC10] [--tiny]

Each part has its own time budget, and one that exceeds it is stopped and marked; the budgets add up to 580 s.
`float32` and `mixed_bfloat16` train the paper's system 4 alone, with batches from the data set (`fed`: mixup and crops
are made on the processor meanwhile) and with one batch that stays on the device (`held`: the most that data kept on the
device could give). `search` runs `asc search` with one trial per GPU and with four (`--gpus-per-trial 0.25`).
`crossval` trains the shipped `esc10` on all folds side by side, for a twelfth of its epochs: its times are of interest,
not its accuracy. FOLDER gets `gpu.json` and `gpu.md`.

Without a GPU only `--tiny` runs: a small version on the processor, which proves that the script works; both files then
say that the numbers are not a GPU's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from asc_models.networks.estimate import estimate
from asc_models.networks.presets import preset

ROOT = Path(__file__).parents[2]
NETWORK = "cao2021-system4"
N_CLASSES = 10
NOT_A_GPU = "No GPU was used: a tiny version ran on the processor, to test the script. The numbers are not a GPU's."
BUDGETS_S = {"machine": 40, "float32": 90, "mixed_bfloat16": 90, "search": 180, "crossval": 180}
"""{part: seconds}, in the order in which they run."""
CLOSE_S = 15
"""Seconds that a command has to end after it was interrupted."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    shape: tuple[int, int, int]
    """Network input: bands, frames, channels."""
    batches: tuple[int, ...]
    """Batch sizes."""
    seconds: float
    """Time that each rate is measured over, at least."""
    shares: tuple[float, ...]
    """GPUs per trial of the searches."""
    synth: tuple[str, ...]
    """Arguments of `asc synth`."""
    search: tuple[str, ...]
    """Configuration of the search and its overrides."""
    crossval: tuple[str, ...]
    """Arguments of `asc crossval` after the configuration."""
    gpus_per_fold: float
    """GPUs per training of the cross-validation."""


SHORT = ("prepare.features.clip_seconds=1", "prepare.features.n_mels=40")
SIZES = {
    "whole": Size(
        shape=(128, 423, 3),
        batches=(16, 128),
        seconds=5.0,
        shares=(1.0, 0.25),
        synth=("--locations", "6", "--segments", "2"),
        search=("default", "search.n_trials=8", "search.epochs=6", "search.min_epochs=6", "search.n_startup=8"),
        crossval=("train.epochs=25",),
        gpus_per_fold=0.2,
    ),
    "tiny": Size(
        shape=(40, 60, 3),
        batches=(8,),
        seconds=0.1,
        shares=(0.0,),
        synth=("--locations", "3", "--segments", "1", "--clip-seconds", "1", "--cities", "1"),
        search=("demo", *SHORT, "search.n_trials=2", "search.epochs=2", "search.min_epochs=2", "search.n_startup=2"),
        crossval=(*SHORT, "train.epochs=2", "train.epoch_examples=64", "reader.window_seconds=0.5"),
        gpus_per_fold=0.0,
    ),
}


class OverBudgetError(Exception):
    """A part took longer than its budget."""


@dataclass
class Part:
    """A part of the benchmark, while it runs."""

    budget_s: float
    """Seconds that it may take."""
    began: float = field(default_factory=time.monotonic)

    def call(self, *arguments: str) -> str:
        """Run Python with `arguments` for as long as the budget lasts; return its standard output.

        Raises:
            OverBudgetError: if it was interrupted for taking longer.
            RuntimeError: if it failed; the message is the end of its output.
        """
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, *arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)
        try:
            out, said = process.communicate(timeout=max(0.0, self.budget_s - (time.monotonic() - self.began)))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=CLOSE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            raise OverBudgetError(f"stopped after its budget of {self.budget_s:.0f} s") from None
        if process.returncode:
            raise RuntimeError(f"{' '.join(arguments[:4])}: {(said or out).strip()[-1000:]}")
        return out

    def asc(self, *arguments: str, overrides: Sequence[str] = ()) -> float:
        """Run a command of `asc` and return the seconds it took."""
        began = time.monotonic()
        changes = [text for override in overrides for text in ("--set", override)]
        self.call("-m", "search.cli.main", *arguments, *changes)
        return time.monotonic() - began

    def worker(self, what: str, size: str) -> dict[str, Any]:
        """Run `what` in another process of this script and return its result."""
        found: dict[str, Any] = json.loads(
            self.call(__file__, "--worker", what, "--size", size).strip().splitlines()[-1]
        )
        return found


def machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    import keras
    import tensorflow as tf

    from asc_models.processor import instruction_set, processor_name

    devices = tf.config.list_physical_devices("GPU")
    return {
        "gpus": [tf.config.experimental.get_device_details(device).get("device_name", "GPU") for device in devices],
        "cuda": tf.sysconfig.get_build_info().get("cuda_version", ""),
        "processor": processor_name(),
        "instruction_set": instruction_set(),
        "n_cpus": len(os.sched_getaffinity(0)),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": sys.version.split()[0],
    }


def training(precision: str, size: Size) -> dict[str, Any]:
    """Return clips per second and the rate of arithmetic of one training, by batch size."""
    import pandas as pd
    import tensorflow as tf

    from asc_models.config import TrainConfig
    from asc_models.process import start_tensorflow
    from asc_models.training.trainer import Trainer
    from data_prep.config import ReaderSpec
    from data_prep.reader.reader import FeatureSet

    start_tensorflow(len(os.sched_getaffinity(0)))
    found = {}
    for batch in size.batches:
        rng, n_clips = np.random.default_rng(0), 10 * batch
        n_frames = size.shape[1] + 8  # two orders of deltas cost 8
        log_mel = rng.standard_normal((n_clips, size.shape[0], n_frames)).astype(np.float16)
        labels, classes = np.arange(n_clips) % N_CLASSES, tuple(f"scene {i}" for i in range(N_CLASSES))
        clips = FeatureSet(log_mel, labels, pd.DataFrame(), classes, ReaderSpec(scaling="none"))
        recipe = TrainConfig.model_validate({"batch_size": batch, "learning_rate": 0.01, "precision": precision})
        trainer = Trainer(preset(NETWORK), recipe, clips, seed=0)
        x, y = map(tf.constant, next(trainer._batches.epoch(0)))
        rate, number = tf.constant(0.01), tf.constant(1.0)
        trainer.train_to(1)  # the first epoch traces the step and chooses kernels

        def held(trainer: Trainer = trainer, arguments: tuple[Any, ...] = (x, y, rate, number)) -> None:
            """Take ten steps on one batch that stays on the device, and wait for the last."""
            for _ in range(10):
                loss = trainer._step(*arguments)
            loss.numpy()

        cost = estimate(preset(NETWORK), (x.shape[1], x.shape[2], x.shape[3]), N_CLASSES)
        rates = {
            "fed": n_clips / seconds_of(lambda trainer=trainer: trainer.train_to(trainer.epoch + 1), size.seconds),
            "held": n_clips / seconds_of(held, size.seconds),
        }
        found[str(batch)] = {
            name: {"clips_per_s": clips_per_s, "gflops": 6e-9 * cost.macs * clips_per_s}
            for name, clips_per_s in rates.items()
        }
    return {"by_batch_size": found}


def seconds_of(call: Callable[[], None], at_least: float) -> float:
    """Return the mean seconds of a call, repeated for `at_least` seconds."""
    began, n_calls = time.perf_counter(), 0
    while (seconds := time.perf_counter() - began) < at_least or n_calls == 0:
        call()
        n_calls += 1
    return seconds / n_calls


def searches(part: Part, size: Size, folder: Path) -> dict[str, Any]:
    """Return trials and epochs per hour of `asc search`, by the share of a GPU that a trial has."""
    corpus, shards = folder / "corpus", folder / "shards"
    config, *overrides = size.search
    part.asc("synth", str(corpus), *size.synth)
    part.asc("prepare", str(corpus), "--out", str(shards), "--config", config, overrides=overrides)
    found = {}
    for share in size.shares:
        run = folder / f"run-{share}"
        arguments = ("search", config, "--shards", str(shards), "--out", str(run), "--gpus-per-trial", str(share))
        seconds = part.asc(*arguments, "--no-tensorboard", overrides=overrides)
        found[str(share)] = {"seconds": seconds, **_done(run)}
    return {"by_gpus_per_trial": found}


def _done(run: Path) -> dict[str, Any]:
    """Return what a search did from the start of its first trial to its last rung."""
    from results.ledger.ledger import Ledger
    from results.ledger.trials import trials_table
    from results.rundir import RunDirectory

    events = Ledger(RunDirectory(run).ledger_path).events()
    table = trials_table(events)
    times = [datetime.fromisoformat(e["time"]).timestamp() for e in events if e["event"] in ("trial_started", "rung")]
    epochs, hours = int(table["epochs"].sum()), (max(times) - min(times)) / 3600
    finished = int((table["state"] == "finished").sum())
    return {"n_trials": finished, "epochs": epochs, "training_s": 3600 * hours, "epochs_per_hour": epochs / hours}


def folds(part: Part, size: Size, folder: Path, esc10: Path | None) -> dict[str, Any]:
    """Return the seconds of a cross-validation, start-up included, and its windows per second over all folds."""
    from search.config import read_run_config

    shards = folder / "fold-shards"
    if esc10 is None:
        corpus, only = folder / "corpus", ("--folds", "1")
        if not corpus.is_dir():
            part.asc("synth", str(corpus), *size.synth)
    else:
        corpus, only = esc10, ()
    part.asc("prepare", str(corpus), "--out", str(shards), "--config", "esc10", overrides=size.crossval)
    arguments = ("crossval", "esc10", "--shards", str(shards), "--out", str(folder / "folds"), *only)
    seconds = part.asc(*arguments, "--gpus-per-trial", str(size.gpus_per_fold), overrides=size.crossval)
    train = read_run_config("esc10", size.crossval).train
    windows = (1 if only else 5) * train.epochs * (train.epoch_examples or 0)
    return {"n_folds": 1 if only else 5, "epochs": train.epochs, "seconds": seconds, "windows_per_s": windows / seconds}


def measured(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the result of one part, with its state and seconds."""
    size = SIZES[options.size]
    part = Part(BUDGETS_S[name])
    try:
        if name == "crossval" and options.esc10 is None and options.size != "tiny":
            return {"state": "not run: give --esc10"}
        if name == "search":
            found = searches(part, size, folder)
        elif name == "crossval":
            found = folds(part, size, folder, options.esc10)
        else:
            found = part.worker(name, options.size)
        state = "measured"
    except (OverBudgetError, RuntimeError) as error:
        found, state = {}, str(error)
    return {"state": state, **found, "part_s": time.monotonic() - part.began}


def rows(parts: dict[str, dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return (part, set-up, result) of everything that was measured."""
    lines = []
    for name, part in parts.items():
        if part["state"] != "measured":
            lines.append((name, "–", part["state"].splitlines()[-1] if part["state"] else "failed"))
        for batch, rates in part.get("by_batch_size", {}).items():
            for how, value in rates.items():
                text = f"{value['clips_per_s']:,.0f} clips/s, {value['gflops']:,.0f} GFLOP/s"
                lines.append((name, f"batch {batch}, {how}", text))
        for share, done in part.get("by_gpus_per_trial", {}).items():
            text = f"{done['n_trials']} trials, {done['epochs_per_hour']:,.0f} epochs an hour, {done['seconds']:.0f} s"
            lines.append((name, f"{share} GPU per trial", text))
        if "n_folds" in part:
            text = f"{part['seconds']:.0f} s, {part['windows_per_s']:,.0f} windows/s"
            lines.append((name, f"folds: {part['n_folds']}, epochs: {part['epochs']}", text))
    return lines


def page(found: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    about = found["machine"]
    gpus = ", ".join(about.get("gpus", [])) or "none"
    lines = ["# GPU", "", *([] if found["is_gpu"] else [f"**{NOT_A_GPU}**", ""])]
    lines += [f"GPU: {gpus}; {about.get('n_cpus')} × {about.get('processor')} ({about.get('instruction_set')});"]
    lines += [f"TensorFlow {about.get('tensorflow')}, CUDA {about.get('cuda') or 'none'}; {found['date']}", ""]
    lines += ["| part | set-up | result |", "|---|---|---|"]
    lines += [f"| {part} | {setup} | {result} |" for part, setup, result in rows(found["parts"])]
    return "\n".join([*lines, "", f"`{NETWORK}`; `fed` and `held` are explained by `gpu.py --help`.", ""])


def main() -> None:
    """Measure every part and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for gpu.json and gpu.md")
    parser.add_argument("--esc10", type=Path, help="folder of ESC-10 in TAU's layout")
    parser.add_argument("--tiny", dest="size", action="store_const", const="tiny", default="whole")
    parser.add_argument("--parts", nargs="+", choices=list(BUDGETS_S)[1:], default=list(BUDGETS_S)[1:])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--size", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        size = SIZES[options.size]
        print(json.dumps(machine() if options.worker == "machine" else training(options.worker, size)))
        return
    if options.out is None:
        parser.error("--out FOLDER is required")
    about = Part(BUDGETS_S["machine"] * 3).worker("machine", options.size)
    if not about["gpus"] and options.size != "tiny":
        sys.exit("TensorFlow sees no GPU on this machine: install a driver and tensorflow[and-cuda], or give --tiny")
    options.out.mkdir(parents=True, exist_ok=True)
    date = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %z}"
    is_gpu = bool(about["gpus"]) and options.size != "tiny"
    found: dict[str, Any] = {"is_gpu": is_gpu, "date": date, "size": options.size, "machine": about, "parts": {}}
    if not is_gpu:
        found["warning"] = NOT_A_GPU
    folder = Path(tempfile.mkdtemp(prefix="asc-gpu-"))
    try:
        for name in options.parts:
            print(f"{name}: at most {BUDGETS_S[name]} s", flush=True)
            found["parts"][name] = measured(name, options, folder)
            (options.out / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")
            (options.out / "gpu.md").write_text(page(found))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(page(found))


if __name__ == "__main__":
    main()
