"""Other systems that join the selection of an ensemble: their predictions and a stated number of bytes.

They can't be packed into a submission, since there is no network of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asc_models.rules import BYTES
from data_prep.errors import BudgetError, ConfigError, DataError
from data_prep.files.files import file_digest, read_json, sync_folder, write_json
from data_prep.files.scratch import scratch_folder
from results.candidates.limits import Limits, StatedSize
from results.candidates.predictions import PredictedSystem, Predictions, write_predictions
from results.ensembles.eligible import eligible_candidates
from results.outputs.clips import match_clips, share_clips
from results.outputs.output import Output, read_output
from results.outputs.table import SUFFIXES
from results.outputs.values import VALUES, Values
from results.rundir import OutsideFiles, RunDirectory

RESERVED = ("ensemble", "joint-ensemble")
"""Names of the ensembles of a run, which no other system can have."""


@dataclass(frozen=True)
class OutsideSystem(PredictedSystem[OutsideFiles]):
    """A system whose network is not in the run, by the name of the file or folder it was read from, without suffix."""

    metrics: StatedSize


@dataclass(frozen=True)
class Asked:
    """A system that a user asks to join."""

    path: Path
    """A table with the clips of validation, and of test for a test score; or a folder with a table `validation` and
    optionally a table `test`."""
    n_bytes: int
    values: Values | None
    """What the scores are; None recognises it."""

    @property
    def name(self) -> str:
        """Name of the file or folder, without suffix."""
        return self.path.name if self.path.is_dir() else self.path.stem


def parse_member(text: str) -> Asked:
    """Return the system in a text `FILE:BYTES` or `FILE:BYTES:VALUES`.

    Raises:
        ConfigError: if the text has another form.
    """
    values = next((kind for kind in VALUES if text.endswith(f":{kind}")), None)
    path, _, size = text.removesuffix(f":{values}").rpartition(":")
    try:
        n_bytes = int(size.replace(",", ""))
    except ValueError:
        n_bytes = 0
    if not path or n_bytes < 1:
        raise ConfigError(
            f"--member {text}: must be FILE:BYTES, such as teacher.csv:40000, or FILE:BYTES:KIND with KIND one of "
            f"{', '.join(VALUES)}; BYTES is a whole number of at least 1"
        )
    return Asked(Path(path), n_bytes, values)


def read_outside(run: RunDirectory) -> list[OutsideSystem]:
    """Return the other systems that join the run's ensemble.

    Raises:
        DataError: if a description is damaged.
    """
    found = []
    for files in run.outside():
        try:
            n_bytes = int(read_json(files.description_path)["n_bytes"])
        except (DataError, KeyError, TypeError, ValueError, OverflowError):
            raise DataError(
                f"{files.description_path}: damaged; rerun `asc ensemble`, with --member for each other system"
            ) from None
        found.append(OutsideSystem(files, StatedSize(n_bytes)))
    return found


def replace_outside(run: RunDirectory, asked: Sequence[Asked], limits: Limits) -> list[str]:
    """Store these systems in the run instead of those of before; return what was recognised, as sentences.

    Nothing is changed if one is refused.

    Raises:
        BudgetError: if one is over the limits alone, or there is no candidate that it can join.
        ConfigError: if the limits do not count bytes.
        DataError: if a file can't be read, lacks clips or scenes, or has a name that is taken.
    """
    earlier = [files.name for files in run.outside()]
    notes = [
        f"{name} is not named by --member and no longer joins the ensemble"
        for name in earlier
        if name not in {one.name for one in asked}
    ]
    if not asked:
        _store(run, (), {})
        return notes
    candidates = eligible_candidates(run, limits)
    clips = {"validation": candidates[0].predictions("validation")}
    if tested := [one for one in candidates if one.has_predictions("test")]:
        clips["test"] = tested[0].predictions("test")
    taken = {*RESERVED, *(files.name for files in run.candidates())}
    read: dict[str, dict[str, Predictions]] = {}
    for one in asked:
        if one.name in taken:
            raise DataError(f"{one.path}: the name {one.name} is taken by another system; rename the file or folder")
        taken.add(one.name)
        notes += _check_size(one, limits)
        read[one.name], found = _read(one, clips)
        notes += found
    _store(run, asked, read)
    return notes


def _store(run: RunDirectory, asked: Sequence[Asked], read: Mapping[str, Mapping[str, Predictions]]) -> None:
    """Replace the run's other systems by those `asked`, with what was `read` of each: {name: {split: predictions}}.

    They are written elsewhere and then renamed: a killed call leaves those of before, those asked or none, all whole.
    """
    with scratch_folder(".outside-", run.root) as folder:
        new, old = folder / "new", folder / "old"
        for one in asked:
            files = OutsideFiles(new / one.name)
            for split, predictions in read[one.name].items():
                write_predictions(files.predictions_path(split), predictions)
            digests = {path.name: file_digest(path) for path in _tables(one).values()}
            write_json(files.description_path, {"n_bytes": one.n_bytes, "files": digests})
        if run.outside_dir.exists():
            run.outside_dir.rename(old)
        if asked:
            new.rename(run.outside_dir)
        sync_folder(run.root)


def _check_size(asked: Asked, limits: Limits) -> list[str]:
    """Return what the limits leave unchecked, as sentences."""
    others = [quantity for quantity in limits.rules.in_force() if quantity not in BYTES]
    if len(others) == len(limits.rules.in_force()):
        raise ConfigError(
            f"--member {asked.path}: the run's rules ({limits.rules.name}) limit {', '.join(others)} and no bytes, so "
            f"{asked.n_bytes:,} bytes can't be checked; start a run whose rules limit bytes, such as dcase2023"
        )
    if reason := limits.verdict([StatedSize(asked.n_bytes)]).reason:
        raise BudgetError(f"--member {asked.path}: is over the limit alone: {reason}")
    return [f"{asked.name}: its {' and '.join(others)} are not known and not counted"] if others else []


def _tables(asked: Asked) -> dict[str, Path]:
    """Return {split: table} of a system; {"": table} if one table has all splits."""
    if not asked.path.is_dir():
        return {"": asked.path}
    found: dict[str, Path] = {}
    for path in sorted(asked.path.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.stem in ("validation", "test"):
            if path.stem in found:
                raise DataError(f"{asked.path}: has both {found[path.stem].name} and {path.name}; keep one")
            found[path.stem] = path
    if "validation" not in found:
        raise DataError(
            f"{asked.path}: has no table validation{{{','.join(SUFFIXES)}}}; members are selected on validation"
        )
    return found


def _read(asked: Asked, clips: dict[str, Predictions]) -> tuple[dict[str, Predictions], list[str]]:
    """Return {split: predictions} of a system on the clips of the run, and what was recognised."""
    classes = clips["validation"].classes
    outputs: dict[str, Output] = {}
    for split, path in _tables(asked).items():
        outputs[split] = read_output(path, reference=classes, reference_name="the run", values=asked.values)
        if set(outputs[split].classes) != set(classes):
            raise DataError(
                f"{path}: its columns of scores are {', '.join(outputs[split].classes)}; the run's scenes are "
                f"{', '.join(classes)}. Name the columns by the scenes."
            )
    found = {}
    for split, of_run in clips.items():
        output = outputs.get(split, outputs.get(""))
        if output is not None and (predictions := _aligned(output, split, of_run)) is not None:
            found[split] = predictions
    scores = [
        f"{split} log loss {summary['log_loss']:.3f}, macro accuracy {100 * summary['macro_accuracy']:.1f} %"
        for split, predictions in found.items()
        if predictions.is_labelled
        for summary in [predictions.summarize()]
    ]
    notes = [note for output in outputs.values() for note in output.notes]
    without = "" if "test" in found else "; no test predictions"
    return found, [*notes, f"{asked.name}: {asked.n_bytes:,} bytes as stated; {'; '.join(scores)}{without}"]


def _aligned(output: Output, split: str, of_run: Predictions) -> Predictions | None:
    """Return an output on the clips of a split of the run; None if it has none of the test clips.

    Raises:
        DataError: if it has some of the clips, or lacks validation clips.
    """
    try:
        wanted = of_run.clips["filename"].astype(str).tolist()
        rows = match_clips(output.filenames, wanted, output.path, f"the {split} split of the run", exactly=False)
    except DataError as error:
        if split == "test" and not share_clips(output.filenames, wanted):
            return None
        raise DataError(
            f"{error}. Give a table with all clips of validation and test, or a folder with the tables validation and "
            "test; test can be left out."
        ) from None
    columns = [output.classes.index(scene) for scene in of_run.classes]
    p = output.probabilities[rows][:, columns]
    return Predictions(of_run.clips, (p / p.sum(axis=1, keepdims=True)).astype(np.float32), of_run.classes)
