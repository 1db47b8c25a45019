"""The package has the challenge's form, and the validator finds what is wrong with one."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from augmentation_support import OFF, ON
from results_support import add_candidate, clips, make_run, predictions, write_dense_tflite

from asc_models.config import TrainConfig
from data_prep.augment.registry import AUGMENTATIONS, SWITCHES
from data_prep.config import OfflineAugmentation
from data_prep.copies.waveforms import COPIES
from data_prep.corpora.corpus import TAU_SCENES
from data_prep.errors import BudgetError, DataError
from results.candidates.candidates import read_candidates
from results.candidates.limits import Limits
from results.candidates.predictions import Predictions, read_predictions, write_predictions
from results.config import EnsembleConfig, SubmissionConfig
from results.ensembles.calibration import Calibration
from results.ensembles.ensemble import build_ensemble, read_ensembles
from results.rundir import RunDirectory
from results.score import score_submission
from results.submission.meta import system_meta
from results.submission.package import output_csv, write_submission
from results.submission.systems import System
from results.submission.validate import CHALLENGE_CLIPS, validate_submission

ROOT = "Doe_EX_task1a/task1"
FIRST = f"{ROOT}/Doe_EX_task1a_1/Doe_EX_task1a_1"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = make_run(tmp_path_factory.mktemp("submission") / "run", n_candidates=3, search=False)
    add_candidate(run, "heavy", size=128_001, skill=5.0)
    build_ensemble(run, EnsembleConfig(), Limits())
    write_submission(run, SubmissionConfig())
    return run


def _read(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as package:
        return {name: package.read(name).decode() for name in package.namelist()}


def _package(run: RunDirectory) -> Path:
    return run.submission_dir / "Doe_EX_task1a.zip"


def test_a_package_passes_its_validator(run: RunDirectory) -> None:
    """Layout, outputs and descriptions of a fresh package have no problem."""
    assert validate_submission(_package(run)) == []


def test_systems_are_ranked_by_validation_log_loss_and_within_the_limit(run: RunDirectory) -> None:
    """At most four systems, best first; the best candidate of all is over the limit and left out with the reason."""
    summary = json.loads((run.submission_dir / "summary.json").read_text())
    losses = [row["validation_log_loss"] for row in summary["systems"]]
    assert losses == sorted(losses)
    assert [row["label"][-1] for row in summary["systems"]] == list("1234")
    assert "over the limit" in summary["left_out"]["heavy-s0"]
    assert "heavy-s0" not in {row["system"] for row in summary["systems"]}
    assert summary["packed_split"] == "test"
    assert any("No evaluation set" in note for note in summary["notes"])
    assert any("placeholders" in note for note in summary["notes"])


def test_the_meta_file_has_every_field(run: RunDirectory) -> None:
    """The fields are the challenge's, filled from configuration and metrics; accuracy in percent."""
    files = _read(_package(run))
    summary = json.loads((run.submission_dir / "summary.json").read_text())
    for number, row in enumerate(summary["systems"], start=1):
        label = f"Doe_EX_task1a_{number}"
        meta = yaml.safe_load(files[f"{ROOT}/{label}/{label}.meta.yaml"])
        assert set(meta) == {"submission", "system", "results"}
        assert meta["submission"]["label"] == label
        assert meta["submission"]["abbreviation"] == f"asc_{number}"
        description = meta["system"]["description"]
        assert description["input_sampling_rate"] == "44.1kHz"
        assert description["acoustic_features"] == "log-mel energies, delta, delta-delta"
        assert description["data_augmentation"] == "mixup, time rolling, random cropping"
        assert description["complexity_management"].startswith("architecture search under the size limit, weights in 8")
        assert meta["submission"]["name"] == f"Lightweight network found by search ({row['system']})"
        n = len(row["members"])
        assert description["ensemble_method_subsystem_count"] == (n if row["system"] == "ensemble" else None)
        assert meta["system"]["complexity"]["model_size"] * 1000 == pytest.approx(row["nonzero_weight_bytes"])
        development = meta["results"]["development_dataset"]
        assert list(development["class_wise"]) == list(TAU_SCENES)
        assert set(development["device_wise"]) == {"a", "b", "c", "s1", "s2", "s3", "s4", "s5", "s6"}
        assert 50 < development["overall"]["accuracy"] <= 100


def test_outputs_score_as_the_metrics_say(run: RunDirectory, tmp_path: Path) -> None:
    """Scoring a packed output against the truth gives the test metrics, so nothing was lost in printing."""
    files = _read(_package(run))
    meta = yaml.safe_load(files[f"{FIRST}.meta.yaml"])["results"]["development_dataset"]["overall"]
    (tmp_path / "output.csv").write_text(files[f"{FIRST}.output.csv"])
    table = clips(240, TAU_SCENES, 240)
    truth = table.rename(columns={"scene": "scene_label", "location": "identifier", "device": "source_label"})
    truth.to_csv(tmp_path / "truth.csv", sep="\t", index=False)
    scores = score_submission(tmp_path / "output.csv", tmp_path / "truth.csv")
    assert scores["log_loss"] == pytest.approx(meta["logloss"], abs=1e-4)
    assert 100 * scores["macro_accuracy"] == pytest.approx(meta["accuracy"], abs=0.01)


def test_an_evaluation_set_is_packed_where_there_is_one(run: RunDirectory) -> None:
    """Given evaluation predictions, those are packed, named without folders; an ensemble's follow from its members."""
    table = clips(25, TAU_SCENES, labelled=False)
    evaluation = {files.name: predictions(table, TAU_SCENES, 0.0, seed) for seed, files in enumerate(run.candidates())}
    path = write_submission(run, SubmissionConfig(lastname="Cao", institute="SCUT"), evaluation)
    assert path.name == "Cao_SCUT_task1a.zip"
    assert validate_submission(path, filenames=[f"audio/{i}.wav" for i in range(25)]) == []
    assert len(validate_submission(path, filenames=["0.wav"])) == 4
    assert json.loads((run.submission_dir / "summary.json").read_text())["packed_split"] == "evaluation"
    write_submission(run, SubmissionConfig())


def test_any_class_list_can_be_packed(tmp_path: Path) -> None:
    """A package of another data set passes with its own classes, and is held against its own run's limit."""
    classes = ("dog", "rain", "sea_waves")
    run = make_run(tmp_path / "run", n_candidates=2, search=False, classes=classes)
    path = write_submission(run, SubmissionConfig())
    assert validate_submission(path) == []
    assert validate_submission(path, classes=TAU_SCENES) != []
    assert any("limit is 60 kB" in str(problem) for problem in validate_submission(path, limit_bytes=60_000))
    config = run.read_config()
    config["rules"] = {"name": "custom", "limits": {"nonzero_weight_bytes": 131_072}}
    run.config_path.write_text(yaml.safe_dump(config))
    add_candidate(run, "heavy", size=131_000, skill=5.0, classes=classes)
    assert validate_submission(write_submission(run, SubmissionConfig())) == []


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


def test_the_description_is_of_what_the_members_did(tmp_path: Path) -> None:
    """Augmentation is that of a member's own recipe and of the copies; without a search none is claimed."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    config = run.read_config()
    config["prepare"]["augmentations"] = ["pitch_shift", "mix", "device_response"]
    run.config_path.write_text(yaml.safe_dump(config))
    recipe = TrainConfig(
        mixup_alpha=0, frequency_shift=4, time_stretch=1.2, scene_mix_p=0.5, spectrum_correction_p=0.3,
        device_offset_p=0.3,
    ).model_dump(mode="json")  # fmt: skip
    for name, skill, family in (("cropped", 3.0, "inverted_residual"), ("whole", 2.0, "dcase_baseline")):
        add_candidate(run, name, size=60_000, skill=skill)
        files = run.candidate(name, 0)
        files.config_path.write_text(yaml.safe_dump({"model": {"family": family}, "train": recipe}))
        files.metrics_path.write_text(json.dumps(json.loads(files.metrics_path.read_text()) | {"trial_id": None}))
    texts = _read(write_submission(run, SubmissionConfig()))
    metas = [yaml.safe_load(text) for name, text in texts.items() if name.endswith(".meta.yaml")]
    shared = (
        "frequency shifting, time stretching, mixing of clips of one scene, spectrum correction, "
        "device simulation by spectral offsets"
    )
    assert [meta["system"]["description"]["data_augmentation"] for meta in metas] == [
        f"{shared}, random cropping, pitch shifting, device impulse responses",
        f"{shared}, pitch shifting, device impulse responses",
    ]
    for meta in metas:
        assert meta["system"]["description"]["complexity_management"].startswith("weights in 8-bit")
        assert "search" not in meta["submission"]["name"]


def _declared(run: RunDirectory, train: dict[str, Any], copies: tuple[str, ...] = ()) -> str | None:
    """Return the augmentation that the meta file of a system declares whose only member has this recipe."""
    member = read_candidates(run)[0]
    member.files.config_path.write_text(yaml.safe_dump({"model": {"family": "inverted_residual"}, "train": train}))
    config = {**run.read_config(), "prepare": {"augmentations": list(copies)}}
    system = System(member.name, (member,), None, Calibration(1.0, 1.0), None, 1, {})
    return system_meta("x", 1, system, SubmissionConfig(), config)["system"]["description"]["data_augmentation"]


def test_every_augmentation_is_declared(tmp_path: Path) -> None:
    """Each of the registry is declared in its own words while it is on, and nothing while all are off."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    recipe = TrainConfig(**OFF).model_dump(mode="json")
    assert _declared(run, recipe) is None
    for knob, entry in SWITCHES.items():
        assert _declared(run, {**recipe, knob: ON[knob]}) == entry.switches[knob]
    for kind in get_args(OfflineAugmentation):
        assert _declared(run, recipe, (kind,)) == COPIES[kind].switches[kind]
    declared = _declared(run, {**recipe, **ON}, get_args(OfflineAugmentation))
    assert declared is not None
    assert set(declared.split(", ")) == {words for entry in AUGMENTATIONS for words in entry.switches.values()}


def test_windows_are_declared(tmp_path: Path) -> None:
    """A member that votes over windows declares the vote and, whatever its crop, random crops in training."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    member = read_candidates(run)[0]
    recipe = {"train": TrainConfig(**OFF).model_dump(mode="json"), "reader": {"window_seconds": 1.5, "n_windows": 10}}
    system = System(member.name, (member,), None, Calibration(1.0, 1.0), None, 1, {})
    described = []
    for crop in (1.0, 0.5):
        recipe["train"]["crop_fraction"] = crop
        member.files.config_path.write_text(yaml.safe_dump(recipe))
        described.append(system_meta("x", 1, system, SubmissionConfig(), run.read_config())["system"]["description"])
    assert [told["data_augmentation"] for told in described] == ["random cropping"] * 2
    assert [told["decision_making"] for told in described] == [
        "average of the probabilities of 10 windows of 1.5 s"
    ] * 2
    assert (
        system_meta("x", 1, system, SubmissionConfig(decision_making="vote"), run.read_config())["system"][
            "description"
        ]["decision_making"]
        == "vote"
    )


def test_without_any_list_to_pack_it_says_so(tmp_path: Path) -> None:
    """Data with neither a test nor an evaluation list: an error that names the lists, and no package."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    run.candidates()[0].predictions_path("test").unlink()
    with pytest.raises(DataError, match="neither an evaluation list nor a labelled test list"):
        write_submission(run, SubmissionConfig())
    assert not run.submission_dir.exists()


def test_equal_runs_give_equal_packages(run: RunDirectory) -> None:
    """Writing a package again changes no byte."""
    before = _package(run).read_bytes()
    assert write_submission(run, SubmissionConfig()).read_bytes() == before


def test_printed_probabilities_sum_to_one_with_the_label_on_top() -> None:
    """Also for near ties and tiny values the printed numbers sum to 1 and the label has the largest."""
    made = predictions(clips(400, TAU_SCENES), TAU_SCENES, 0.0, 3)
    p = np.random.default_rng(0).dirichlet(np.full(10, 0.01), size=400).astype(np.float32)
    p[:50] = 0.1
    made.probabilities[:] = p
    for line in output_csv(made).splitlines()[1:]:
        fields = line.split("\t")
        units = [int(field.replace(".", "")) for field in fields[2:]]
        assert sum(units) == 1_000_000
        assert units[TAU_SCENES.index(fields[1])] == max(units)


def test_two_clips_of_one_name_cannot_be_packed() -> None:
    """Clips that only their folders tell apart would be one row: refused."""
    made = predictions(clips(10, TAU_SCENES), TAU_SCENES, 0.0, 3)
    made.clips["filename"] = ["one/x.wav", "two/x.wav", *made.clips["filename"][2:]]
    with pytest.raises(DataError, match=r"x\.wav"):
        output_csv(made)


def test_there_is_one_package(tmp_path: Path) -> None:
    """Under other names the earlier package goes; what is no package of this tool stays."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    write_submission(run, SubmissionConfig())
    (run.submission_dir / "thesis.zip").write_text("mine")
    write_submission(run, SubmissionConfig(lastname="Muster", institute="HSLU"))
    assert {path.name for path in run.submission_dir.iterdir()} == {
        *("Muster_HSLU_task1a.zip", "summary.json", "thesis.zip"),
    }


def test_a_draft_is_labelled(run: RunDirectory) -> None:
    """With placeholders or disagreeing names summary and note say so, each by its point; the zip is as it would be."""
    for config in (SubmissionConfig(), SubmissionConfig(lastname="Muster", institute="HSLU")):
        write_submission(run, config)
        summary = json.loads((run.submission_dir / "summary.json").read_text())
        assert summary["draft"] is True
        (note,) = [note for note in summary["notes"] if note.startswith("This is a draft: ")]
        assert all(point in note for point in config.open_points)
    author = {"lastname": "Doe", "firstname": "John", "email": "j@ex.example"}
    home = {"abbreviation": "E", "institute": "Exeter", "location": "Exeter, UK"}
    own = SubmissionConfig.model_validate({"institute": "E", "authors": [{**author, "affiliation": home}]})
    write_submission(run, own)
    summary = json.loads((run.submission_dir / "summary.json").read_text())
    assert summary["draft"] is False
    assert not any("draft" in note for note in summary["notes"])
    write_submission(run, SubmissionConfig())


def test_no_network_takes_two_slots(tmp_path: Path) -> None:
    """An ensemble of one member is that member: calibrated alike, it takes no slot of its own."""
    run = make_run(tmp_path / "run", n_candidates=3, search=False)
    build_ensemble(run, EnsembleConfig(max_members=1), Limits())
    (ensemble,) = read_ensembles(run)
    assert ensemble.is_single
    (member,) = ensemble.members
    write_submission(run, SubmissionConfig())
    summary = json.loads((run.submission_dir / "summary.json").read_text())
    assert sorted(row["system"] for row in summary["systems"]) == sorted(c.name for c in read_candidates(run))
    assert summary["left_out"] == {
        "ensemble": f"no ensemble is better on held-out locations than its only member {member}"
    }


def test_parameters_are_counted_in_the_file(tmp_path: Path) -> None:
    """Both counts are the exported file's, batch normalization folded: without a zero weight they are equal."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    (member,) = read_candidates(run)
    system = System(member.name, (member,), None, Calibration(1.0, 1.0), None, 1, {})

    def counted() -> tuple[int, int]:
        complexity = system_meta("x", 1, system, SubmissionConfig(), run.read_config())["system"]["complexity"]
        return complexity["total_parameters"], complexity["total_parameters_non_zero"]

    assert counted() == (member.metrics.n_params, member.metrics.n_params)  # without the file
    kernel = np.arange(1, 13, dtype=np.float32).reshape(4, 3)
    for zeros in (0, 5):
        kernel.ravel()[:zeros] = 0
        write_dense_tflite(member.files.tflite_path, kernel, np.ones(4, np.float32))
        assert counted() == (16, 16 - zeros)


def test_external_data_are_a_list(tmp_path: Path) -> None:
    """The organisers iterate over them: [] for none, else what they ask of each, minutes under their key."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    one = {"name": "Other", "url": "https://other.example", "total_audio_length_minutes": 90.0}
    for given, written in (
        ([], []),
        ([one], [{"name": "Other", "url": "https://other.example", "total_audio_length": 90.0}]),
    ):
        path = write_submission(run, SubmissionConfig.model_validate({"external_datasets": given}))
        assert yaml.safe_load(_read(path)[f"{FIRST}.meta.yaml"])["system"]["external_datasets"] == written
        assert validate_submission(path) == []


HOSTILE = (
    "<script>alert(1)</script>", 'a"b\'c', "a\nb", "a\tb", "{{ 7 * 7 }}{% raw %}", "=cmd|' /C calc'!A0", "$\\frac{$",
    "[red]\x1b[2J", "x" * 10_000, "&amp;*anchor: !!python/object", " – ",
)  # fmt: skip


def test_names_are_inert_in_a_package(tmp_path: Path) -> None:
    """Scenes and authors with markup, quotes, new lines, tabs or braces come out as they went in, and pass."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False, classes=HOSTILE)
    for text in HOSTILE:
        author = {"lastname": text, "firstname": text, "affiliation": {"institute": text, "location": text}}
        config = SubmissionConfig.model_validate({"authors": [author], "name": text, "source_code": text})
        path = write_submission(run, config)
        assert validate_submission(path) == []
        files = _read(path)
        assert len(files) == 2
        meta = yaml.safe_load(files[f"{FIRST}.meta.yaml"])
        (written,) = meta["submission"]["authors"]
        assert (written["lastname"], written["affiliation"]["institute"]) == (text, text)
        assert list(meta["results"]["development_dataset"]["class_wise"]) == list(HOSTILE)
    header, *rows = csv.reader(io.StringIO(files[f"{FIRST}.output.csv"]), delimiter="\t")
    assert header[2:] == list(HOSTILE)
    assert {row[1] for row in rows} <= set(HOSTILE)


def test_the_challenges_clips_have_its_names(run: RunDirectory) -> None:
    """The organisers convert a clip's name to its number: others are refused, as is another number of clips."""
    table = clips(CHALLENGE_CLIPS, TAU_SCENES, labelled=False)

    def problems() -> list[str]:
        evaluation = {files.name: predictions(table, TAU_SCENES, 0.0, 1) for files in run.candidates()}
        return [str(p) for p in validate_submission(write_submission(run, SubmissionConfig(max_systems=1), evaluation))]

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
    notes = json.loads((run.submission_dir / "summary.json").read_text())["notes"]
    assert any(
        note.startswith("7 clips have outputs. The challenge's evaluation set has 7,920 clips") for note in notes
    )
    write_submission(run, SubmissionConfig())


def test_nothing_to_submit_is_an_error(tmp_path: Path) -> None:
    """A run whose candidates are all over the limit says so, candidate by candidate, and writes nothing."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    add_candidate(run, "heavy", size=200_000, skill=2.0)
    with pytest.raises(BudgetError, match=r"heavy-s0: .*200,000"):
        write_submission(run, SubmissionConfig())
    assert not run.submission_dir.exists()


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
    "extra file": (lambda files: files.update({f"{ROOT}/Doe_EX_task1a_1/notes.txt": ""}), "must be Doe_EX"),
    "shallow": (lambda files: files.update({"readme.txt": ""}), "must be at"),
    "bad label": (lambda files: files.update({f"{ROOT}/Doe_task1a_1/Doe_task1a_1.output.csv": ""}), "without dots"),
    "fifth system": (
        lambda files: files.update({f"{ROOT}/Doe_EX_task1a_5/Doe_EX_task1a_5.meta.yaml": ""}),
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
        lambda files: files.update({f"{ROOT}//Doe_EX_task1a_1/Doe_EX_task1a_1.meta.yaml": ""}),
        "must be at",
    ),
    "above 100": (_edit_meta("results.development_dataset.overall.accuracy", 101), "accuracy is 101"),
    "no log loss": (_edit_meta("results.development_dataset.device_wise.a.logloss", None), "logloss is None"),
}


@pytest.mark.parametrize("breakage", sorted(BREAKAGES))
def test_every_broken_rule_is_found(run: RunDirectory, tmp_path: Path, breakage: str) -> None:
    """A package with one thing wrong has a problem that names it."""
    break_it, message = BREAKAGES[breakage]
    files = _read(_package(run))
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
