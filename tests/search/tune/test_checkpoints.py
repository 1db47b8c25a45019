"""States of trials: the same in a folder and in an object store."""

import pytest

from results.rundir import RunDirectory
from results.storage.storage import RunStorage
from search.run_config import default_shards
from search.tune.checkpoints import Checkpoints


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.system)])
def location(request, tmp_path):
    if request.param == "folder":
        return tmp_path / "run" / "checkpoints"
    request.getfixturevalue("s3")
    return f"s3://sets/{tmp_path.name}/checkpoints"


def written(data):
    def write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return write


def read(checkpoints, trial_id):
    with checkpoints.opened(trial_id) as path:
        return None if path is None else path.read_bytes()


def test_a_state_comes_back_as_it_was_saved_last(location):
    """What was saved last is read, nothing where nothing was saved, and nothing after it was let go of."""
    checkpoints = Checkpoints(location)
    assert read(checkpoints, "t0001") is None
    checkpoints.save("t0001", written(b"one"))
    checkpoints.save("t0001", written(b"two"))
    checkpoints.save("t0002", written(b"other"))
    assert read(Checkpoints(location), "t0001") == b"two"
    assert Checkpoints(location).trial_ids() == {"t0001", "t0002"}
    checkpoints.remove("t0001")
    checkpoints.remove("t0001")
    assert read(checkpoints, "t0001") is None
    checkpoints.remove("t0002")
    checkpoints.tidy()
    assert not (hasattr(location, "parent") and location.parent.exists())


def test_a_trial_has_a_state_for_each_part(location, tmp_path):
    """Networks without different parts have states of their own; all are those of the trial, and go with it."""
    checkpoints = Checkpoints(location)
    for part in (1, 2, 12):
        checkpoints.save("t0001", written(str(part).encode()), part)
    checkpoints.save("t0012", written(b"other"), 1)
    with checkpoints.opened("t0001", 12) as path:
        assert path.read_bytes() == b"12"
    assert read(checkpoints, "t0001") is None
    Checkpoints(tmp_path / "earlier").save("t0012", written(b"adopted"), 2)
    checkpoints.adopt(tmp_path / "earlier")
    assert Checkpoints(location).trial_ids() == {"t0001", "t0012"}
    checkpoints.remove("t0001")
    assert checkpoints.trial_ids() == {"t0012"}
    with checkpoints.opened("t0012", 2) as path:
        assert path.read_bytes() == b"adopted"
    checkpoints.remove("t0012")
    assert not checkpoints.trial_ids()


def test_states_of_an_earlier_session_are_taken_over(location, tmp_path):
    """States in a folder move into the shared place; one that is there already stays as it is."""
    earlier = tmp_path / "earlier"
    Checkpoints(earlier).save("t0001", written(b"old"))
    Checkpoints(earlier).save("t0002", written(b"only here"))
    checkpoints = Checkpoints(location)
    checkpoints.save("t0001", written(b"newer"))
    checkpoints.adopt(earlier)
    assert (read(checkpoints, "t0001"), read(checkpoints, "t0002")) == (b"newer", b"only here")
    assert not list(earlier.iterdir())


def test_shards_lie_in_the_storage_where_nothing_else_is_said(tmp_path):
    """The place named counts first, then what is in the run directory already, then the run's storage."""
    run, storage = RunDirectory(tmp_path / "run"), RunStorage(tmp_path / "shared")
    assert default_shards(run, "s3://bucket/x", storage) == "s3://bucket/x"
    assert default_shards(run, None, storage) == tmp_path / "shared" / "shards"
    assert default_shards(run, None) == run.shards_dir
    run.shards_dir.mkdir(parents=True)
    assert default_shards(run, None, storage) == run.shards_dir
