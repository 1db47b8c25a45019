"""Validation of a package: all checks of the organisers' validator, and additional ones of sizes, sums and labels.

The organisers' validator fails with a traceback if a value has an unexpected type. Here such a value is reported as a
problem with its key.
"""

from __future__ import annotations

import csv
import io
import re
import reprlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, inf
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from data_prep.corpora.corpus import TAU_SCENES
from data_prep.files.files import read_json
from results.rundir import SUMMARY

MAX_SYSTEMS = 4
CHALLENGE_BYTES = 128_000
CHALLENGE_CLIPS = 7_920
"""Clips of the challenge's evaluation set, `0.wav` to `7919.wav`."""
CHALLENGE_DEVICES = ("a", "b", "c", "s1", "s2", "s3", "s4", "s5", "s6")
SUM_TOLERANCE = 1e-3
_CLIP = re.compile(r"[0-9]{1,9}\.wav")
_LABEL = re.compile(r"[A-Za-z0-9-]+_[A-Za-z0-9-]+_task1a_[1-4]")

_SUBMISSION = ("label", "name", "abbreviation", "authors")
_AUTHOR = ("lastname", "firstname", "email", "affiliation", "corresponding")
_DESCRIPTION = (
    *("input_sampling_rate", "acoustic_features", "embeddings", "data_augmentation", "machine_learning_method"),
    *("ensemble_method_subsystem_count", "decision_making", "complexity_management", "external_data_usage"),
)
_MAPPINGS = (
    *("submission", "system", "system.description", "system.complexity", "results", "results.development_dataset"),
    *(f"results.development_dataset.{group}" for group in ("overall", "class_wise", "device_wise")),
)
_DATASET = ("name", "url", "total_audio_length")
_COMPLEXITY = ("total_parameters", "total_parameters_non_zero", "model_size")


@dataclass(frozen=True)
class Violation:
    """One violation of the submission rules."""

    where: str
    """File inside the package, with the row if any."""
    what: str
    """The rule and the offending value."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def validate_submission(
    path: Path,
    *,
    limit_bytes: float | None = None,
    classes: Sequence[str] | None = None,
    filenames: Sequence[str] | None = None,
) -> list[Violation]:
    """Return all problems of a package, [] if it can be submitted.

    Defaults are taken from `summary.json` in the folder of the package, which `write_submission` writes.

    Args:
        path: the zip file.
        limit_bytes: maximum of `model_size` in bytes. None uses the limit in `summary.json`, or the challenge's 128,000
            if there is no summary.
        classes: scenes in the order of the header. None uses those in `summary.json`; without a summary, those of the
            first system if it is of another data set, otherwise the challenge's ten. The challenge's ten scenes must
            always be in the challenge's order.
        filenames: names of the evaluation clips; folders are ignored. None uses the clips of the first system, so that
            all systems must agree; with the challenge's ten scenes there must also be 7,920 clips, unless
            `summary.json` states that the test split is packed.
    """
    try:
        with zipfile.ZipFile(path) as package:
            entries = {name: package.read(name) for name in package.namelist() if not name.endswith("/")}
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        return [Violation(path.name, f"is not a readable zip: {error}")]
    problems = list(_layout(entries))
    limit = stated_limit(path) if limit_bytes is None else limit_bytes
    scenes = _in_order(classes or _summary(path).get("classes") or _first_header(entries))
    n_clips = CHALLENGE_CLIPS if scenes == TAU_SCENES and _summary(path).get("packed_split") != "test" else None
    folders = sorted({PurePosixPath(name).parent for name in entries if name.count("/") == 3})
    if not folders:
        problems.append(Violation(path.name, "contains no system; a system's files are in <root>/<folder>/<LABEL>/"))
    if len(folders) > MAX_SYSTEMS:
        problems.append(Violation(path.name, f"at most {MAX_SYSTEMS} systems may be submitted, found {len(folders)}"))
    expected = None if filenames is None else {PurePosixPath(name).name for name in filenames}
    for folder in folders:
        output, meta = (f"{folder}/{folder.name}{suffix}" for suffix in (".output.csv", ".meta.yaml"))
        if output in entries:
            names: set[str] = set()
            problems += _output(output, entries[output], scenes, expected, names)
            if n_clips is not None:
                problems += _challenge_clips(output, names, n_clips if filenames is None else None)
            expected = expected or names
        else:
            problems.append(Violation(str(folder), f"lacks {folder.name}.output.csv"))
        if meta in entries:
            problems += _meta(meta, entries[meta], folder.name, scenes, limit)
        else:
            problems.append(Violation(str(folder), f"lacks {folder.name}.meta.yaml"))
    return problems


def stated_limit(path: Path) -> float:
    """Return the maximum number of bytes of a system of this package; infinity if its run does not limit bytes."""
    rule = _mapping(_summary(path), "rules")
    if not rule:
        return CHALLENGE_BYTES
    return float(_mapping(rule, "limits").get("nonzero_weight_bytes", inf))


def _summary(path: Path) -> Mapping[str, Any]:
    """Return the summary that was written with the package, {} if there is none."""
    summary = path.with_name(SUMMARY)
    found = read_json(summary) if summary.is_file() else {}
    return found if isinstance(found, Mapping) and found.get("package") == path.name else {}


def _in_order(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the scenes in the required order of the header: the challenge's in its order, others unchanged."""
    return TAU_SCENES if set(classes) == set(TAU_SCENES) else tuple(classes)


def _first_header(entries: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the required scenes if none are given: those of the first header, or TAU's if that header is invalid.

    A header with only a subset of TAU's scenes is an incomplete package of the challenge, so TAU's scenes are required.
    Another data set may share some scene names with TAU.
    """
    first = min((name for name in entries if name.endswith(".output.csv")), default=None)
    if first is None:
        return TAU_SCENES
    try:
        scenes = tuple(next(_rows(entries[first]), [])[2:])
    except (UnicodeDecodeError, csv.Error):
        return TAU_SCENES
    broken = not scenes or len(set(scenes)) < len(scenes) or set(scenes) & {"filename", "scene_label"}
    return TAU_SCENES if broken or set(scenes) <= set(TAU_SCENES) else scenes


def _layout(entries: Mapping[str, bytes]) -> Iterator[Violation]:
    for name in entries:
        parts = name.split("/")
        if len(parts) != 4:
            yield Violation(name, "must be at <root>/<folder>/<LABEL>/<file>")
        elif not _LABEL.fullmatch(parts[2]):
            yield Violation(name, f"label must be Lastname_Institute_task1a_1 to _4 without dots, got {parts[2]!r}")
        elif parts[3] not in {f"{parts[2]}.output.csv", f"{parts[2]}.meta.yaml"}:
            yield Violation(name, f"must be {parts[2]}.output.csv or {parts[2]}.meta.yaml")


def _rows(data: bytes) -> Iterator[list[str]]:
    """Yield the fields of each row, parsed as the organisers do: quoted fields may contain tabs and newlines.

    Raises:
        UnicodeDecodeError: if the data is not UTF-8 text.
        csv.Error: if the data cannot be parsed as CSV.
    """
    return csv.reader(io.StringIO(data.decode("utf-8")), delimiter="\t")


def _challenge_clips(where: str, names: set[str], n_clips: int | None) -> Iterator[Violation]:
    """Yield problems of the names of the challenge's clips, and of their number unless `n_clips` is None."""
    if n_clips is not None and len(names) != n_clips:
        yield Violation(where, f"must have one row for each of {n_clips:,} clips, has {len(names):,}")
    others = sorted(name for name in names if not _CLIP.fullmatch(name) or int(name[:-4]) >= CHALLENGE_CLIPS)
    if others:
        shown = ", ".join(map(repr, others[:3]))
        last = CHALLENGE_CLIPS - 1
        yield Violation(where, f"clips must be named 0.wav to {last}.wav, {len(others):,} are not: {shown}")


def _output(
    where: str, data: bytes, classes: tuple[str, ...], expected: set[str] | None, found: set[str]
) -> Iterator[Violation]:
    """Yield the problems of an output file, and add its clips to `found`."""
    try:
        header, *rows = _rows(data)
    except (UnicodeDecodeError, ValueError, csv.Error):
        yield Violation(where, "is empty or not UTF-8 text with TAB-separated fields")
        return
    if header != ["filename", "scene_label", *classes]:
        yield Violation(where, f"header must be filename, scene_label and {', '.join(classes)}, TAB-separated")
        return
    for number, fields in enumerate(rows, start=2):
        if len(fields) != len(classes) + 2:
            yield Violation(f"{where}, line {number}", f"must have {len(classes) + 2} fields, has {len(fields)}")
            continue
        if "/" in fields[0]:
            yield Violation(f"{where}, line {number}", f"clip names must not contain folders, got {fields[0]!r}")
        if fields[0] in found:
            yield Violation(f"{where}, line {number}", f"{fields[0]} is given twice")
        found.add(fields[0])
        yield from _row(f"{where}, line {number}", fields, classes)
    if expected is not None and found != expected:
        missing, extra = sorted(expected - found), sorted(found - expected)
        yield Violation(
            where,
            f"must have one row for each of {len(expected):,} clips: "
            f"{len(missing)} missing ({', '.join(missing[:3])}), {len(extra)} extra ({', '.join(extra[:3])})",
        )


def _row(where: str, fields: list[str], classes: tuple[str, ...]) -> Iterator[Violation]:
    if fields[1] not in classes:
        yield Violation(where, f"scene_label {fields[1]!r} is not a scene of the task")
    try:
        p = [float(field) for field in fields[2:]]
    except ValueError:
        yield Violation(where, f"probabilities must be numbers, got {', '.join(fields[2:])}")
        return
    if not all(0 <= value <= 1 for value in p):
        yield Violation(where, "probabilities must be in [0, 1]")
    elif abs((total := fsum(p)) - 1) > SUM_TOLERANCE:
        yield Violation(where, f"probabilities must sum to 1, they sum to {total:.4f}")
    elif fields[1] in classes and p[classes.index(fields[1])] < max(p):
        yield Violation(where, f"scene_label is {fields[1]}, but {classes[p.index(max(p))]} is more probable")


def _meta(where: str, data: bytes, label: str, classes: tuple[str, ...], limit_bytes: float) -> Iterator[Violation]:
    try:
        # The file may be written by other tools: parse it as the challenge does, where the last duplicate key wins.
        meta = yaml.safe_load(data.decode("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        yield Violation(where, f"is not YAML: {error}")
        return
    submission, system = _mapping(meta, "submission"), _mapping(meta, "system")
    description, complexity = _mapping(system, "description"), _mapping(system, "complexity")
    development = _mapping(_mapping(meta, "results"), "development_dataset")
    yield from _types(where, meta)
    for prefix, mapping, keys in (
        ("submission", submission, _SUBMISSION),
        ("system", system, ("description", "complexity", "external_datasets", "source_code")),
        ("system.description", description, _DESCRIPTION),
        ("system.complexity", complexity, _COMPLEXITY),
        ("results.development_dataset", development, ("overall", "class_wise", "device_wise")),
    ):
        for key in keys:
            if key not in mapping:
                yield Violation(where, f"{prefix}.{key}: required, but missing")
    yield from _who(where, submission, label)
    yield from _sizes(where, complexity, limit_bytes)
    yield from _development(where, development, classes)


def _types(where: str, meta: Any) -> Iterator[Violation]:
    """Yield values whose type the organisers' validator does not expect, unless another check reports them."""
    for path in _MAPPINGS:
        *parents, key = path.split(".")
        parent = meta
        for name in parents:
            parent = _mapping(parent, name)
        if isinstance(parent, Mapping) and key in parent and not isinstance(parent[key], Mapping):
            yield Violation(where, f"{path} must be a mapping, got {reprlib.repr(parent[key])}")
    system = _mapping(meta, "system")
    datasets = system.get("external_datasets")
    if "external_datasets" in system and not isinstance(datasets, list):
        yield Violation(where, f"system.external_datasets must be a list, [] for none, got {reprlib.repr(datasets)}")
    for number, dataset in enumerate(datasets if isinstance(datasets, list) else (), start=1):
        for key in _DATASET:
            if not isinstance(dataset, Mapping) or key not in dataset:
                yield Violation(where, f"system.external_datasets, data set {number}: {key} is missing")


def _who(where: str, submission: Mapping[str, Any], label: str) -> Iterator[Violation]:
    if submission.get("label") != label:
        yield Violation(where, f"submission.label must be {label}, got {submission.get('label')!r}")
    short = submission.get("abbreviation")
    if not isinstance(short, str) or not 1 <= len(short) <= 10:
        yield Violation(
            where, f"submission.abbreviation must be a text of 1 to 10 characters, got {reprlib.repr(short)}"
        )
    authors = submission.get("authors") or []
    if not isinstance(authors, list) or not authors:
        yield Violation(where, "submission.authors must list at least one author")
        return
    for number, author in enumerate(authors, start=1):
        for key in _AUTHOR:
            if key != "corresponding" and (not isinstance(author, Mapping) or not author.get(key)):
                yield Violation(where, f"submission.authors, author {number}: {key} is missing")
    answers = [author.get("corresponding") for author in authors if isinstance(author, Mapping)]
    marked = [answer for answer in answers if answer]  # the organisers' validator counts any truthy value
    if marked != [True]:
        yield Violation(where, f"submission.authors: exactly one must be corresponding, got {len(marked)}")


def _sizes(where: str, complexity: Mapping[str, Any], limit_bytes: float) -> Iterator[Violation]:
    values: dict[str, Any] = {key: complexity[key] for key in _COMPLEXITY if key in complexity}
    for key, value in values.items():
        is_whole = key != "model_size"
        if not isinstance(value, int if is_whole else (int, float)) or isinstance(value, bool) or not value >= 0:
            kind = "whole number" if is_whole else "number"
            yield Violation(where, f"system.complexity.{key} must be a {kind}, got {reprlib.repr(value)}")
            return
    size = values.get("model_size", 0)  # kB
    if size * 1000 > limit_bytes + 1e-6:
        yield Violation(where, f"system.complexity.model_size is {size:,} kB; the limit is {limit_bytes / 1000:,g} kB")
    if values.get("total_parameters_non_zero", 0) > values.get("total_parameters", inf):
        yield Violation(where, "system.complexity: more non-zero parameters than parameters")


def _development(where: str, development: Mapping[str, Any], classes: tuple[str, ...]) -> Iterator[Violation]:
    groups = {
        "overall": {"overall": development.get("overall")},
        "class_wise": _mapping(development, "class_wise"),
        "device_wise": _mapping(development, "device_wise"),
    }
    named = groups["class_wise"]
    # The challenge's development set has clips of every scene; the test split of another data set may lack some.
    challenge = {"class_wise": TAU_SCENES, "device_wise": CHALLENGE_DEVICES} if classes == TAU_SCENES else {}
    for group, names in challenge.items():
        if lacking := [name for name in names if groups[group] and name not in groups[group]]:
            yield Violation(where, f"results.development_dataset.{group} lacks {', '.join(lacking)}")
    if foreign := [str(scene) for scene in named if scene not in classes]:
        yield Violation(where, f"results.development_dataset.class_wise: not scenes of the task: {', '.join(foreign)}")
    for group, entries in groups.items():
        for name, entry in entries.items():
            for key, top in (("logloss", inf), ("accuracy", 100.0)):
                value = _mapping({"entry": entry}, "entry").get(key)
                if not isinstance(value, (int, float)) or not 0 <= value <= top:
                    yield Violation(
                        where, f"results.development_dataset.{group}, {name}: {key} is {reprlib.repr(value)}"
                    )
            for key, value in _mapping({"entry": entry}, "entry").items():
                if key not in {"logloss", "accuracy"} and not isinstance(value, (int, float)):
                    found = f"{key} must be a number, got {reprlib.repr(value)}"
                    yield Violation(where, f"results.development_dataset.{group}, {name}: {found}")


def _mapping(parent: Any, key: str) -> Mapping[str, Any]:
    value = parent.get(key) if isinstance(parent, Mapping) else None
    return value if isinstance(value, Mapping) else {}
