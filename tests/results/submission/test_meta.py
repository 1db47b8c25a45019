"""The description of a system has the challenge's fields, and says what was done."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from augmentation_support import OFF, ON
from results_support import add_candidate, make_run, write_dense_tflite
from submission_support import FIRST, PACKED, package_of, read_package

from asc_models.config import TrainConfig
from data_prep.augment.registry import AUGMENTATIONS, SWITCHES
from data_prep.config import OfflineAugmentation
from data_prep.copies.waveforms import COPIES
from data_prep.corpora.corpus import TAU_SCENES
from results.candidates.candidates import read_candidates
from results.config import SubmissionConfig
from results.ensembles.calibration import Calibration
from results.rundir import RunDirectory
from results.submission.meta import system_meta
from results.submission.package import write_submission
from results.submission.systems import System
from results.submission.validate import validate_submission


def test_the_meta_file_has_every_field(packed: RunDirectory) -> None:
    """The fields are the challenge's, filled from configuration and metrics; accuracy in percent."""
    files = read_package(package_of(packed))
    summary = json.loads((packed.submission_dir / "summary.json").read_text())
    for number, row in enumerate(summary["systems"], start=1):
        label = f"Doe_EX_task1a_{number}"
        meta = yaml.safe_load(files[f"{PACKED}/{label}/{label}.meta.yaml"])
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
    texts = read_package(write_submission(run, SubmissionConfig()))
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


def test_each_members_inputs_are_declared(tmp_path: Path) -> None:
    """Members of an ensemble may have other readers than the run, which a search varied."""
    run = make_run(tmp_path / "run", n_candidates=2, search=False)
    members = read_candidates(run)
    for member, reader in zip(members, ({"deltas": 0, "frequency_channel": True}, {"deltas": 1}), strict=True):
        member.files.config_path.write_text(yaml.safe_dump({**member.files.read_config(), "reader": reader}))
    system = System("both", tuple(members), None, Calibration(1.0, 1.0), None, 1, {})
    described = system_meta("x", 1, system, SubmissionConfig(), run.read_config())["system"]["description"]
    assert described["acoustic_features"] == "log-mel energies, band position; log-mel energies, delta"


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


def test_networks_of_devices_are_declared(tmp_path: Path) -> None:
    """The devices that have networks are named, as part of how a decision is made."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    member = read_candidates(run)[0]
    member.files.config_path.write_text(yaml.safe_dump({"devices": ["a", "s1"]}))
    system = System(member.name, (member,), None, Calibration(1.0, 1.0), None, 1, {})
    description = system_meta("x", 1, system, SubmissionConfig(), run.read_config())["system"]["description"]
    assert description["decision_making"] == "a fine-tuned network each for clips of device a, s1"


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
        assert yaml.safe_load(read_package(path)[f"{FIRST}.meta.yaml"])["system"]["external_datasets"] == written
        assert validate_submission(path) == []


def test_pruning_is_declared_as_the_challenge_calls_it(packed: RunDirectory) -> None:
    """A member that was pruned adds "pruning" beside the width of its weights; a dense one does not."""
    member = read_candidates(packed)[0]
    for train, declared in (({"sparsity": 0.5}, True), ({"sparsity": 0.0}, False), ({}, False)):
        member.files.config_path.write_text(yaml.safe_dump({"model": {"family": "inverted_residual"}, "train": train}))
        system = System(member.name, (member,), None, Calibration(1.0, 1.0), None, 1, {})
        meta = system_meta("x", 1, system, SubmissionConfig(), packed.read_config())
        methods = meta["system"]["description"]["complexity_management"].split(", ")
        assert ("pruning" in methods) == declared
        assert "weights in 8-bit integers" in methods


def test_layers_of_both_widths_are_declared(packed: RunDirectory) -> None:
    """Of int4 exports, those within limits in bytes say that the width differs by layer."""
    member = read_candidates(packed)[0]
    member = replace(member, metrics=replace(member.metrics, mode="int4_int8_weights"))
    for limits, declared in (
        ({"weight_bytes": 100_000}, "weights in 8-bit integers, in the least sensitive layers 4-bit ones, biases"),
        ({}, "weights in 4-bit integers, small and depthwise layers in 8-bit ones, biases"),
    ):
        recipe = {"model": {"family": "inverted_residual"}, "train": {}, "int4_limits": limits}
        member.files.config_path.write_text(yaml.safe_dump(recipe))
        system = System(member.name, (member,), None, Calibration(1.0, 1.0), None, 1, {})
        meta = system_meta("x", 1, system, SubmissionConfig(), packed.read_config())
        assert declared in meta["system"]["description"]["complexity_management"]


def test_training_for_int4_is_declared_of_int4_exports_alone(packed: RunDirectory) -> None:
    """A search may vary the mode, and the recipe's share has no effect in the others."""
    member = read_candidates(packed)[0]
    for mode, share, declared in (
        ("int4_int8_weights", 0.2, True),
        ("int4_int8_weights", 0.0, False),
        ("int8_weights", 0.2, False),
    ):
        recipe = {"model": {"family": "inverted_residual"}, "mode": mode, "train": {"int4_share": share}}
        member.files.config_path.write_text(yaml.safe_dump(recipe))
        system = System(member.name, (member,), None, Calibration(1.0, 1.0), None, 1, {})
        meta = system_meta("x", 1, system, SubmissionConfig(), packed.read_config())
        methods = meta["system"]["description"]["complexity_management"].split(", ")
        assert ("quantization-aware training" in methods) == declared
