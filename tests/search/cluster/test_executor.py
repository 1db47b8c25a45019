"""Feature extraction on Ray: the same bytes as in own processes, failures as they are."""

import sys
from pathlib import Path

import pytest
from search_support import SPEC, write_corpus

from data_prep.config import PrepareConfig, QuarantineSpec, ValidationSpec
from data_prep.errors import DataError
from data_prep.prepare.prepare import prepare
from search.cluster.executor import RayExecutor, ray_executor

pytestmark = pytest.mark.system


def test_without_an_address_there_is_no_executor():
    """`asc prepare` without --address loads no Ray and works in its own processes."""
    loaded = "ray" in sys.modules
    with ray_executor(None) as executor:
        assert executor is None
    assert ("ray" in sys.modules) == loaded


def test_a_cluster_gives_the_same_bytes(ray_here, tmp_path):
    """Tasks spread over Ray come back in order: shards, copies and manifest are byte for byte those of one process."""
    config = PrepareConfig(
        features=SPEC, validation=ValidationSpec(fraction=0.4), augmentations=("mix", "speed_change"), clips_per_shard=8
    )
    root = write_corpus(tmp_path / "corpus")
    prepare(root, tmp_path / "here", config)
    prepare(root, tmp_path / "there", config, executor=RayExecutor())
    for path in (p for p in (tmp_path / "here").iterdir() if p.is_file()):
        assert (tmp_path / "there" / path.name).read_bytes() == path.read_bytes()


def test_what_a_worker_finds_is_told_as_it_is(ray_here, tmp_path):
    """A failure inside a task is raised as itself, not as Ray's."""

    def fail(number: int) -> int:
        if number == 3:
            raise DataError("clip three")
        return number

    with pytest.raises(DataError, match="clip three"):
        list(RayExecutor().map(fail, range(50)))
    strict = PrepareConfig(features=SPEC, quarantine=QuarantineSpec(strict=True))
    root = write_corpus(tmp_path / "corpus")
    bad = sorted(Path(root).glob("audio/*.wav"))[0]
    bad.write_text("not audio")
    with pytest.raises(DataError, match="strict stops at the first"):
        prepare(root, tmp_path / "s", strict, executor=RayExecutor())
