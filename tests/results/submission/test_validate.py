"""The validator finds what is wrong with a package, and nothing else."""

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from results_support import clips, make_run, predictions
from submission_support import FIRST, PACKED, package_of, read_package

from data_prep.corpora.corpus import TAU_SCENES
from results.candidates.predictions import Predictions, read_predictions, write_predictions
from results.config import SubmissionConfig
from results.rundir import RunDirectory
from results.submission.package import write_submission
from results.submission.validate import CHALLENGE_CLIPS, validate_submission


def test_a_package_passes_its_validator(packed: RunDirectory) -> None:
    """Layout, outputs and descriptions of a fresh package have no problem."""
    assert validate_submission(package_of(packed)) == []


@pytest.mark.parametrize(
    "classes",
    [("bus", "cafe", "library", "metro_station", "park", "tram"), ("bus", "park", "tram")],
    ids=["some of them", "all of them"],
)
def test_scenes_may_be_named_like_the_challenges(tmp_path: Path, classes: tuple[str, ...]) -> None:
    """A run is held against its own classes, some or all of which TAU has too (TUT 2017 has bus and tram, say)."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False, classes=classes)
    path = write_submission(run, SubmissionConfig())
    assert validate_submission(path) == []
    assert any("header must be" in str(problem) for problem in validate_submission(path, classes=classes[::-1]))


def test_without_a_run_a_header_tells_the_data_set(tmp_path: Path) -> None:
    """A package alone is the challenge's where its scenes are some of TAU's or all in another order, else its own."""
    for number, (classes, is_its_own) in enumerate(
        {("bus", "cafe", "tram"): True, ("bus", "park", "tram"): False, TAU_SCENES[::-1]: False}.items()
    ):
        run = make_run(tmp_path / f"run{number}", n_candidates=1, search=False, classes=classes)
        alone = tmp_path / f"{number}.zip"
        alone.write_bytes(write_submission(run, SubmissionConfig()).read_bytes())
        problems = [str(problem) for problem in validate_submission(alone)]
        assert (problems == []) == is_its_own
        assert is_its_own or any("scene_label and airport, bus, metro" in problem for problem in problems)


def test_the_challenges_own_order_is_wanted_of_every_run(tmp_path: Path) -> None:
    """A run that names TAU's ten in another order is refused, as the organisers refuse it."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False, classes=TAU_SCENES[::-1])
    problems = validate_submission(write_submission(run, SubmissionConfig()))
    assert any("scene_label and airport, bus" in str(problem) for problem in problems)


@pytest.mark.parametrize(("classes", "is_refused"), [(("cafe", "bus", "tram"), False), (TAU_SCENES, True)])
def test_a_scene_may_lack_test_clips(tmp_path: Path, classes: tuple[str, ...], is_refused: bool) -> None:
    """A test list without a clip of some scene is no problem, but in the challenge's own ten scenes."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False, classes=classes)
    (files,) = run.candidates()
    given = read_predictions(files.predictions_path("test"))
    kept = (given.clips["scene"] != "bus").to_numpy()
    without = Predictions(given.clips[kept].reset_index(drop=True), given.probabilities[kept], classes)
    write_predictions(files.predictions_path("test"), without)
    metrics = json.loads(files.metrics_path.read_text())
    files.metrics_path.write_text(json.dumps({**metrics, "test": without.summarize()}))
    problems = [str(problem) for problem in validate_submission(write_submission(run, SubmissionConfig()))]
    assert any("class_wise lacks bus" in problem for problem in problems) == is_refused
    assert len(problems) == is_refused


@pytest.mark.system
def test_the_challenges_clips_have_its_names(packed: RunDirectory) -> None:
    """The organisers convert a clip's name to its number: others are refused, as is another number of clips."""
    table = clips(CHALLENGE_CLIPS, TAU_SCENES, labelled=False)

    def problems() -> list[str]:
        evaluation = {files.name: predictions(table, TAU_SCENES, 0.0, 1) for files in packed.candidates()}
        return [
            str(p) for p in validate_submission(write_submission(packed, SubmissionConfig(max_systems=1), evaluation))
        ]

    assert problems() == []
    table.loc[0, "filename"] = "audio/first.wav"
    table.loc[1, "filename"] = "audio/7920.wav"
    assert [problem.partition(": ")[2] for problem in problems()] == [
        "clips must be named 0.wav to 7919.wav, 2 are not: '7920.wav', 'first.wav'"
    ]
    table = table[2:9].reset_index(drop=True)
    assert [problem.partition(": ")[2] for problem in problems()] == [
        "must have one row for each of 7,920 clips, has 7"
    ]
    notes = json.loads((packed.submission_dir / "summary.json").read_text())["notes"]
    assert any(
        note.startswith("7 clips have outputs. The challenge's evaluation set has 7,920 clips") for note in notes
    )
    write_submission(packed, SubmissionConfig())


def _edit_output(change: Callable[[list[list[str]]], None]) -> Callable[[dict[str, str]], None]:
    def edit(files: dict[str, str]) -> None:
        rows = [line.split("\t") for line in files[f"{FIRST}.output.csv"].splitlines()]
        change(rows)
        files[f"{FIRST}.output.csv"] = "\n".join("\t".join(row) for row in rows) + "\n"

    return edit


def _edit_meta(path: str, value: object) -> Callable[[dict[str, str]], None]:
    def edit(files: dict[str, str]) -> None:
        meta = yaml.safe_load(files[f"{FIRST}.meta.yaml"])
        *parents, last = (int(key) if key.isdigit() else key for key in path.split("."))
        place = meta
        for key in parents:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value
        files[f"{FIRST}.meta.yaml"] = yaml.safe_dump(meta)

    return edit


def _set_null(path: str) -> Callable[[dict[str, str]], None]:
    def edit(files: dict[str, str]) -> None:
        _edit_meta(path, "NULL")(files)
        files[f"{FIRST}.meta.yaml"] = files[f"{FIRST}.meta.yaml"].replace("'NULL'", "null")

    return edit


def _meta(files: dict[str, str]) -> Any:
    return yaml.safe_load(files[f"{FIRST}.meta.yaml"])


def _swap_label(rows: list[list[str]]) -> None:
    rows[1][1] = "tram" if rows[1][1] != "tram" else "bus"


BREAKAGES: dict[str, tuple[Callable[[dict[str, str]], object], str]] = {
    "no output": (lambda files: files.pop(f"{FIRST}.output.csv"), "lacks Doe_EX_task1a_1.output.csv"),
    "no meta": (lambda files: files.pop(f"{FIRST}.meta.yaml"), "lacks Doe_EX_task1a_1.meta.yaml"),
    "extra file": (lambda files: files.update({f"{PACKED}/Doe_EX_task1a_1/notes.txt": ""}), "must be Doe_EX"),
    "shallow": (lambda files: files.update({"readme.txt": ""}), "must be at"),
    "bad label": (lambda files: files.update({f"{PACKED}/Doe_task1a_1/Doe_task1a_1.output.csv": ""}), "without dots"),
    "fifth system": (
        lambda files: files.update({f"{PACKED}/Doe_EX_task1a_5/Doe_EX_task1a_5.meta.yaml": ""}),
        "at most 4",
    ),
    "header": (_edit_output(lambda rows: rows[0].reverse()), "header must be"),
    "fields": (_edit_output(lambda rows: rows[3].pop()), "must have 12 fields"),
    "twice": (_edit_output(lambda rows: rows.append(rows[1])), "twice"),
    "missing row": (_edit_output(lambda rows: rows.pop()), "1 extra"),
    "folder": (_edit_output(lambda rows: rows[1].__setitem__(0, "audio/x.wav")), "must not contain folders"),
    "scene": (_edit_output(lambda rows: rows[1].__setitem__(1, "beach")), "is not a scene of the task"),
    "no number": (_edit_output(lambda rows: rows[1].__setitem__(4, "x")), "must be numbers"),
    "outside": (_edit_output(lambda rows: rows[1].__setitem__(4, "1.5")), r"in \[0, 1\]"),
    "sum": (_edit_output(lambda rows: rows[1].__setitem__(slice(2, None), ["0.05"] * 10)), "sum to 1"),
    "argmax": (_edit_output(_swap_label), "is more probable"),
    "empty": (lambda files: files.update({f"{FIRST}.output.csv": ""}), "is empty"),
    "no yaml": (lambda files: files.update({f"{FIRST}.meta.yaml": "a: [b"}), "not YAML"),
    "a list": (lambda files: files.update({f"{FIRST}.meta.yaml": "- a"}), "submission.label: required"),
    "other label": (_edit_meta("submission.label", "Doe_EX_task1a_2"), "submission.label must be"),
    "long name": (_edit_meta("submission.abbreviation", "elevenchars"), "1 to 10"),
    "nobody": (_edit_meta("submission.authors", []), "at least one author"),
    "no mail": (_edit_meta("submission.authors.0.email", ""), "email is missing"),
    "nobody corresponds": (_edit_meta("submission.authors.0.corresponding", False), "exactly one"),
    "no field": (_edit_meta("system.description.embeddings", None), "embeddings: required"),
    "too large": (_edit_meta("system.complexity.model_size", 128.1), "the limit is 128 kB"),
    "size in words": (_edit_meta("system.complexity.model_size", "90 kB"), "must be a number"),
    "too many": (_edit_meta("system.complexity.total_parameters_non_zero", 10**9), "more non-zero"),
    "a class less": (_edit_meta("results.development_dataset.class_wise.bus", None), "lacks bus"),
    "abbreviation a number": (_edit_meta("submission.abbreviation", 2021), "must be a text of 1 to 10"),
    "author a text": (_edit_meta("submission.authors.0", "Doe"), "author 1: lastname is missing"),
    "authors a mapping": (_edit_meta("submission.authors", {"lastname": "Doe"}), "at least one author"),
    "two correspond": (
        lambda files: _edit_meta("submission.authors", 2 * _meta(files)["submission"]["authors"])(files),
        "exactly one must be corresponding, got 2",
    ),
    "submission a list": (_edit_meta("submission", [1]), r"submission must be a mapping, got \[1\]"),
    "system a text": (_edit_meta("system", "CNN"), "system must be a mapping, got 'CNN'"),
    "description a text": (_edit_meta("system.description", "CNN"), "system.description must be a mapping"),
    "complexity a list": (_edit_meta("system.complexity", [1]), "system.complexity must be a mapping"),
    "results a number": (_edit_meta("results", 1), "results must be a mapping, got 1"),
    "development a list": (_edit_meta("results.development_dataset", []), "development_dataset must be a mapping"),
    "overall a number": (_edit_meta("results.development_dataset.overall", 1), "overall must be a mapping, got 1"),
    "classes a list": (_edit_meta("results.development_dataset.class_wise", ["bus"]), "class_wise must be a mapping"),
    "devices a list": (_edit_meta("results.development_dataset.device_wise", ["a"]), "device_wise must be a mapping"),
    "a class a number": (_edit_meta("results.development_dataset.class_wise.bus", 0.5), "bus: logloss is None"),
    "a further list": (_edit_meta("results.development_dataset.overall.f1", [1]), r"f1 must be a number, got \[1\]"),
    "a device less": (_edit_meta("results.development_dataset.device_wise.s6", None), "device_wise lacks s6"),
    "external data null": (_set_null("system.external_datasets"), r"must be a list, \[\] for none, got None"),
    "external data a mapping": (
        _edit_meta("system.external_datasets", {"name": "x"}),
        "external_datasets must be a list",
    ),
    "external data in words": (_edit_meta("system.external_datasets", ["x"]), "data set 1: name is missing"),
    "external data without minutes": (
        _edit_meta("system.external_datasets", [{"name": "x", "url": "y"}]),
        "data set 1: total_audio_length is missing",
    ),
    "infinitely many": (
        _edit_meta("system.complexity.total_parameters", float("inf")),
        "must be a whole number, got inf",
    ),
    "parameters a list": (_edit_meta("system.complexity.total_parameters", [1]), "must be a whole number"),
    "results null": (_set_null("results.development_dataset"), "development_dataset must be a mapping, got None"),
    "meta a number": (lambda files: files.update({f"{FIRST}.meta.yaml": "1"}), "submission.label: required"),
    "blank row": (_edit_output(lambda rows: rows.insert(3, [""])), "must have 12 fields, has 0"),
    "quote": (_edit_output(lambda rows: rows[1].__setitem__(0, '"x.wav')), "must have 12 fields, has"),
    "a folder without a name": (
        lambda files: files.update({f"{PACKED}//Doe_EX_task1a_1/Doe_EX_task1a_1.meta.yaml": ""}),
        "must be at",
    ),
    "above 100": (_edit_meta("results.development_dataset.overall.accuracy", 101), "accuracy is 101"),
    "no log loss": (_edit_meta("results.development_dataset.device_wise.a.logloss", None), "logloss is None"),
}


@pytest.mark.parametrize("breakage", sorted(BREAKAGES))
def test_every_broken_rule_is_found(packed: RunDirectory, tmp_path: Path, breakage: str) -> None:
    """A package with one thing wrong has a problem that names it."""
    break_it, message = BREAKAGES[breakage]
    files = read_package(package_of(packed))
    break_it(files)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as package:
        for name, text in files.items():
            package.writestr(name, text)
    path = tmp_path / "broken.zip"
    path.write_bytes(data.getvalue())
    problems = [str(problem) for problem in validate_submission(path)]

    assert any(re.search(message, problem) for problem in problems), problems


def test_no_package_is_a_problem(tmp_path: Path) -> None:
    """Neither a missing file nor one that is no zip nor an empty zip passes."""
    (tmp_path / "text.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    for name in ("none.zip", "text.zip", "empty.zip"):
        assert validate_submission(tmp_path / name)
