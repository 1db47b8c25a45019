"""A candidate to take along: exported file, configuration, metrics and card, as a folder or as one zip."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import DataError
from data_prep.files import write_text, written_whole
from results.candidates.candidates import CandidateMetrics
from results.rundir import CandidateFiles
from search.candidate_config import CandidateConfig

MODEL, CONFIG, CARD = "model.tflite", "config.yaml", "card.md"
NEEDED = (MODEL, CONFIG)
"""What it takes to run a candidate: the file; feature and reader specification, class list."""
PACKED = (*NEEDED, CARD)

MAX_UNPACKED_BYTES = 100_000_000
"""A package unpacks to some hundred thousand bytes; what claims to be a thousand times that is none."""

_EPOCH = (2021, 1, 1, 0, 0, 0)  # every package of the same files has the same bytes


@contextmanager
def opened_candidate(path: Path) -> Iterator[Path]:
    """Yield the folder of a candidate that is given as a folder or as a zip of one.

    Raises:
        DataError: if there is none, or it lacks a file that it takes to run it.
    """
    if path.is_dir():
        missing = [name for name in NEEDED if not (path / name).is_file()]
        if missing:
            raise DataError(
                f"{path}: no candidate (it has no {' and no '.join(missing)}); candidates are folders in "
                "RUN/candidates, or the zips in them"
            )
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="asc-candidate-") as folder:
        _unpack(path, Path(folder))
        yield Path(folder)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            # A zip made by hand may have the candidate's folder around the files.
            entries = {Path(name).name: name for name in archive.namelist() if Path(name).name in NEEDED}
            missing = [name for name in NEEDED if name not in entries]
            if missing:
                raise DataError(f"{path}: no candidate's zip (it has no {' and no '.join(missing)})")
            for name, entry in entries.items():
                size = archive.getinfo(entry).file_size
                if size > MAX_UNPACKED_BYTES:
                    raise DataError(f"{path}: {entry} claims {size:,} bytes, a candidate has at most 100,000,000")
                (folder / name).write_bytes(archive.read(entry))
    except FileNotFoundError:
        raise DataError(f"{path}: no candidate: there is no such folder or zip") from None
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:  # RuntimeError: encrypted
        raise DataError(f"{path}: neither a candidate's folder nor a zip of one: {error}") from None


def write_package(files: CandidateFiles, config: CandidateConfig, metrics: CandidateMetrics) -> None:
    """Write the candidate's card, and the zip of all that it takes to run its file."""
    write_text(files.card_path, card(files.name, config, metrics))
    with (
        written_whole(files.package_path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in PACKED:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), (files.root / name).read_bytes(), zipfile.ZIP_DEFLATED)


def card(name: str, config: CandidateConfig, metrics: CandidateMetrics) -> str:
    """Return what a candidate is, hears, answers and costs, as Markdown."""
    spec = config.features
    lines = [
        f"# {name}",
        "",
        f"Tells {len(config.classes)} scenes apart: {', '.join(config.classes)}.",
        "",
        f"- Hears: {spec.clip_seconds:g} s clips, resampled to {spec.sample_rate:,} Hz, {spec.n_mels} mel bands.",
        f"- Network: {config.model.family}, {metrics.n_params:,} parameters, {metrics.macs:,} multiply-accumulates.",
        f"- Export: {config.mode}, {metrics.weight_bytes:,} bytes of weights ({metrics.nonzero_weight_bytes:,} not "
        f"zero), {metrics.file_bytes:,} bytes in all.",
        f"- Trained: {metrics.epochs} epochs, seed {metrics.seed}, kept epoch {metrics.best_epoch}, fold {config.fold} "
        f"of data {config.data_hash}.",
    ]
    if metrics.agreement is not None and metrics.agreement_beyond_chance is not None:
        lines.append(
            f"- Agreement of the file with the network: {metrics.agreement:.4f} of validation clips; "
            f"{metrics.agreement_beyond_chance:.4f} beyond chance, near-ties left out."
        )
    lines += ["", "| split | clips | macro accuracy | log loss |", "|---|---|---|---|"]
    for split, scores in metrics.splits.items():
        lines.append(f"| {split} | {scores['n_clips']} | {scores['macro_accuracy']:.4f} | {scores['log_loss']:.4f} |")
    lines += [
        "",
        "All figures are the exported file's own. To run it:",
        "",
        f"    asc predict {name}.zip RECORDING.wav",
        "",
        "`config.yaml` has the feature, its scaling and the class list; `model.tflite` takes the scaled feature of one "
        "clip and gives one probability a scene, in the order above. Its network:",
        "",
        "    " + json.dumps(config.model.model_dump(mode="json")),
        "",
    ]
    return "\n".join(lines)
