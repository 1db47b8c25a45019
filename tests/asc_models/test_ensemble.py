"""Ensembles as folders and zips: opened if they are what was packed, and nothing of them is written elsewhere."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from asc_models.candidate import CONFIG, ENSEMBLE, MAX_UNPACKED_BYTES, MODEL, opened_candidate
from asc_models.ensemble import combined, is_ensemble, opened_system, temper
from data_prep.errors import AscError, ConfigError, DataError

CONTENTS = {
    f"members/{name}/{file}": f"{name} {file}".encode() for name in ("a-s0", "b-s1") for file in (MODEL, CONFIG)
}


def manifest(**changes: Any) -> dict[str, Any]:
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in CONTENTS.items()}
    members = [
        {
            "name": name,
            "weight": weight,
            "sha256": {file: digests[f"members/{name}/{file}"] for file in (MODEL, CONFIG)},
        }
        for name, weight in (("a-s0", 0.75), ("b-s1", 0.25))
    ]
    return {"temperature": 1.5, "members": members, **changes}


def entries(**changes: Any) -> dict[str, bytes]:
    return {ENSEMBLE: yaml.safe_dump(manifest(**changes)).encode(), **CONTENTS}


def packed(path: Path, content: dict[str, bytes], prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(prefix + name, data)
    return path


def unpacked(folder: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_and_zips_of_it_are_the_same_ensemble(tmp_path: Path) -> None:
    """Under any name, the folder, a zip of its files, and one of the folder or of a path that climbs out."""
    others = {"../../evil": b"x", "members/c-s0/model.tflite": b"no member"}
    for path in (
        unpacked(tmp_path / "renamed", entries()),
        packed(tmp_path / "one.zip", {**entries(), **others}),
        packed(tmp_path / "two.zip", entries(), "ensemble/"),
        packed(tmp_path / "three.zip", entries(), "../"),
    ):
        before = {*tmp_path.rglob("*")}
        assert is_ensemble(path)
        with opened_system(path) as system:
            assert (system.weights, system.temperature) == ((0.75, 0.25), 1.5)
            assert [*system.folders] == ["a-s0", "b-s1"]
            for name, model in zip(system.folders, system.model_paths, strict=True):
                assert model.read_bytes() == CONTENTS[f"members/{name}/{MODEL}"]
            assert {*tmp_path.rglob("*")} == before
            if path.suffix:
                root = system.model_paths[0].parents[2]
                assert {found.relative_to(root).as_posix() for found in root.rglob("*.*")} == {ENSEMBLE, *CONTENTS}
        assert path.is_dir() or not root.exists()


def test_a_candidate_is_a_system_of_one_whose_answers_are_unchanged(tmp_path: Path) -> None:
    """No temperature of 1 that normalizes: the very array."""
    folder = unpacked(tmp_path / "t0-s0", {MODEL: b"model", CONFIG: b"config"})
    p = np.array([[0.25, 0.7501]], np.float32)
    with opened_system(folder) as system:
        assert system.folders == {"t0-s0": folder}
        assert system.combined([p]) is p
    assert not is_ensemble(folder)


def test_members_are_combined_by_the_weighted_mean_and_the_temperature() -> None:
    """0.75 × (0.8, 0.2) + 0.25 × (0.4, 0.6) = (0.7, 0.3); with T = 1/2, 0.49 : 0.09."""
    p = [np.array([[0.8, 0.2]], np.float32), np.array([[0.4, 0.6]], np.float32)]
    np.testing.assert_allclose(combined(p, (0.75, 0.25), 1.0), [[0.7, 0.3]], rtol=1e-6)
    np.testing.assert_allclose(combined(p, (0.75, 0.25), 0.5), [[0.49 / 0.58, 0.09 / 0.58]], rtol=1e-6)
    assert np.isfinite(temper(np.array([[1.0, 0.0]]), 0.01)).all()


@pytest.mark.parametrize("name", [f"members/b-s1/{file}" for file in (MODEL, CONFIG)])
@pytest.mark.parametrize("data", [b"other", None])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_what_was_not_packed_is_not_run(tmp_path: Path, name: str, data: bytes | None, form: str) -> None:
    """A member's file with other bytes, or without it: which, and what to do."""
    content = {key: value for key, value in {**entries(), name: data}.items() if value is not None}
    path = unpacked(tmp_path / "e", content) if form == "folder" else packed(tmp_path / "e.zip", content)
    with pytest.raises(DataError, match=r"b-s1.* (has other bytes|has no ).*rerun `asc ensemble RUN`") as refused:
        opened_system(path).__enter__()
    assert str(path) in str(refused.value)
    assert Path(name).name in str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"members": []}, "members"),
        ({"members": [{**manifest()["members"][0], "weight": 0.5}]}, "add up to 0.5"),
        ({"members": [{**one, "name": "a-s0"} for one in manifest()["members"]]}, "different names"),
        ({"members": [{**manifest()["members"][0], "weight": 1.0, "sha256": {}}]}, "must have the files"),
        ({"more": 1}, "unknown key"),
        *(
            ({"members": [{**manifest()["members"][0], "weight": 1.0, "name": name}]}, "name of one folder")
            for name in ("../a-s0", "..", ".", "/etc", "a/b", "a\\b", "C:a", "a\x1b[2J")
        ),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """Weights, temperature, names that lead elsewhere: nothing is unpacked for them."""
    for path in (packed(tmp_path / "e.zip", entries(**change)), unpacked(tmp_path / "e", entries(**change))):
        with pytest.raises(ConfigError, match=rf"ensemble\.yaml(.|\n)*{message}"):
            opened_system(path).__enter__()


def test_models_that_are_large_together_are_refused_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is under the limit of one model."""
    monkeypatch.setitem(MAX_UNPACKED_BYTES, MODEL, 1000)
    large = {f"members/{name}/{MODEL}": bytes(600) for name in ("a-s0", "b-s1")}
    with pytest.raises(DataError, match=r"members have 1,232 bytes together, an ensemble's at most 1,000"):
        opened_system(packed(tmp_path / "bomb.zip", {**entries(), **large})).__enter__()
    with pytest.raises(DataError, match=r"ensemble\.yaml has 1,000,001 bytes"):
        opened_system(packed(tmp_path / "bomb.zip", {**CONTENTS, ENSEMBLE: bytes(1_000_001)})).__enter__()


def test_several_ensembles_and_damaged_zips_are_refused(tmp_path: Path) -> None:
    """A byte changed, one at a time: the ensemble or one sentence that names the file."""
    with pytest.raises(DataError, match="has several ensembles"):
        opened_system(packed(tmp_path / "e.zip", {**entries(), "x/ensemble.yaml": b""})).__enter__()
    path, messages = packed(tmp_path / "e.zip", entries()), []
    sound = path.read_bytes()
    for place in range(3, len(sound), 17):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0xA5]) + sound[place + 1 :])
        try:
            with opened_system(path) as system:
                assert len(system.model_paths) == 2
        except AscError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert all("e.zip" in message for message in messages)


def test_an_ensemble_is_no_candidate(tmp_path: Path) -> None:
    """Where a network is trained again or packed, one is needed: an ensemble is refused as such."""
    for path in (packed(tmp_path / "e.zip", entries()), unpacked(tmp_path / "e", entries())):
        with pytest.raises(DataError, match="is an ensemble, where a candidate is needed"), opened_candidate(path):
            pass
