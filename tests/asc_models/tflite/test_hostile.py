"""Files from strangers: damaged TFLite files and zips end in one sentence, never in a traceback or a dead process."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from damage_support import mutated
from results_support import write_dense_tflite

from asc_models.candidate import CONFIG, MAX_UNPACKED_BYTES, MODEL, opened_candidate, read_candidate_config
from asc_models.errors import ExportError
from asc_models.tflite.measure import count_weights, measure
from data_prep.errors import AscError, DataError


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dense") / MODEL
    kernel = np.random.default_rng(0).standard_normal((10, 8)).astype(np.float32)
    write_dense_tflite(path, kernel, kernel[:, 0])
    return path


def test_a_damaged_file_is_described_or_refused(dense: Path, tmp_path: Path) -> None:
    """600 mutations: sizes, or one sentence that names the file and quotes no library."""
    path, messages = tmp_path / MODEL, []
    for seed in range(600):
        path.write_bytes(mutated(dense.read_bytes(), seed))
        try:
            measure(path)
            count_weights(path)
        except ExportError as error:
            messages.append(str(error))
    assert 200 < len(messages) < 600
    assert all(message.startswith(f"{path}: ") and len(message) < 500 for message in messages)
    assert not [message for message in messages if "unpack" in message or "index" in message]


def packed(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], **options: int) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def test_a_zip_is_read_by_name_and_nothing_of_it_is_unpacked_elsewhere(tmp_path: Path) -> None:
    """Members that climb out, absolute ones, links: model and configuration alone are read, into their own folder."""
    link = zipfile.ZipInfo("sub/link")
    link.external_attr = 0o120777 << 16
    climbing = [("../../evil", b"x"), ("/tmp/evil", b"x"), (link, b"/etc/passwd"), ("model.keras", b"lambda")]
    path = packed(tmp_path / "one.zip", (f"../{MODEL}", b"model"), (f"/abs/{CONFIG}", b"config"), *climbing)
    before = {*tmp_path.rglob("*")}
    with opened_candidate(path) as folder:
        assert sorted(found.name for found in folder.rglob("*")) == sorted((MODEL, CONFIG))
        assert (folder / MODEL).read_bytes() == b"model"
        assert {*tmp_path.rglob("*")} == before
    assert not folder.exists()


def test_a_zip_of_several_candidates_is_refused(tmp_path: Path) -> None:
    """A model is never run with the configuration of another."""
    path = packed(tmp_path / "two.zip", *((f"{one}/{name}", b"") for one in "ab" for name in (MODEL, CONFIG)))
    with pytest.raises(DataError, match=r"has the files of several candidates \(a/model"), opened_candidate(path):
        pass


@pytest.mark.parametrize(
    ("name", "size"), [(CONFIG, MAX_UNPACKED_BYTES[CONFIG] + 1), (MODEL, MAX_UNPACKED_BYTES[MODEL] + 1)]
)
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, name: str, size: int) -> None:
    """A configuration of a megabyte, a model of a hundred, in a few kilobytes of zip."""
    other = CONFIG if name == MODEL else MODEL
    path = packed(tmp_path / "bomb.zip", (name, bytes(size)), (other, b""), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match=rf"bomb\.zip: {name} has {size:,} bytes"), opened_candidate(path):
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_STORED])
def test_a_damaged_zip_is_refused_wherever_it_is_damaged(tmp_path: Path, method: int) -> None:
    """Every tenth byte changed, one at a time: the two files or one sentence."""
    path = packed(tmp_path / "one.zip", (MODEL, bytes(range(256)) * 3), (CONFIG, b"name: x\n" * 9), compression=method)
    sound, messages = path.read_bytes(), []
    for place in range(0, len(sound), 10):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0xA5]) + sound[place + 1 :])
        try:
            with opened_candidate(path) as folder:
                assert len([*folder.iterdir()]) == 2
        except AscError as error:
            messages.append(str(error))
    assert len(messages) > 5
    assert all(str(path) in message for message in messages)


def test_pipes_and_devices_are_no_candidates(tmp_path: Path) -> None:
    """They are refused without being read."""
    os.mkfifo(tmp_path / "pipe.zip")
    for path in (tmp_path / "pipe.zip", Path("/dev/zero")):
        with pytest.raises(DataError, match="must be a folder or a regular file"), opened_candidate(path):
            pass


def test_a_configuration_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, NUL bytes, an empty file."""
    for content in (b"\xff\xfe\x00", b"name: \0", b"", b"[" * 1000):
        (tmp_path / CONFIG).write_bytes(content)
        with pytest.raises(AscError, match=r"config\.yaml"):
            read_candidate_config(tmp_path / CONFIG)
