import shutil

import numpy as np
import pytest
from search_support import out_of_fold, run_steps, trial_config

from asc_models.networks.estimate import estimate
from asc_models.networks.families import parse_network
from data_prep.config import ReaderSpec
from data_prep.errors import DataError
from data_prep.reader.reader import read_split

pytestmark = pytest.mark.system

VALUES = ("macro_accuracy", "log_loss", "weight_bytes", "nonzero_weight_bytes", "file_bytes")


@pytest.fixture(scope="module")
def steps(ray_here):
    """Run a trial in a process of its own, as the search does: TensorFlow's threads are set once per process."""
    import ray

    remote = ray.remote(num_cpus=1)(run_steps)
    return lambda *args: ray.get(remote.remote(*args))


@pytest.fixture(scope="module")
def whole(steps, shards, tmp_path_factory):
    """What an undisturbed trial tells at its two rungs."""
    folder = tmp_path_factory.mktemp("whole")
    return steps(trial_config(shards, folder), 2)


def values(result):
    assert result["outcome"] == "rung", result
    return pytest.approx([result[name] for name in VALUES], rel=1e-5)


def test_a_trial_tells_its_values_at_each_rung(whole):
    """A rung's result holds scores of the exported file on validation, its measured sizes, and the seconds."""
    first, second = whole
    assert (first["rung"], second["rung"]) == (0, 1)
    for result in whole:
        assert 0 <= result["macro_accuracy"] <= 1
        assert 0 < result["log_loss"] < 20
        assert 0 < result["nonzero_weight_bytes"] <= result["weight_bytes"] < result["file_bytes"]
        assert 0 < result["seconds"] < 300
        assert result["seconds"] == pytest.approx(result["train_seconds"] + result["reading_seconds"], abs=0.01)


def test_a_trial_never_touches_the_test_split(steps, shards, sealed_shards, tmp_path):
    """Where no test clip can be read, a trial tells what it tells where they all can."""
    with pytest.raises(DataError, match="is 0 × "):
        read_split(sealed_shards, "test", fold=1, reader=ReaderSpec())
    told = []
    for number, place in enumerate((shards, sealed_shards)):
        config = trial_config(place, tmp_path / str(number))
        config["shared"]["reader"]["scaling"] = "standardize"  # by statistics of the training clips
        told += steps(config, 2)
    assert [told[2][name] for name in VALUES] == values(told[0])
    assert [told[3][name] for name in VALUES] == values(told[1])


def test_the_last_rung_is_that_of_the_averaged_weights(steps, whole, shards, tmp_path):
    """With swa_share a trial tells the same at its first rung and the average's values at its last, resumed or not."""
    averaging = {"train": {"swa_share": 0.5}}
    first, last = steps(trial_config(shards, tmp_path / "straight", **averaging), 2)
    assert [first[name] for name in VALUES] == values(whole[0])
    assert last["log_loss"] != pytest.approx(whole[1]["log_loss"], rel=1e-4)
    steps(trial_config(shards, tmp_path / "resumed", **averaging), 1)
    [resumed] = steps(trial_config(shards, tmp_path / "resumed", next_rung=1, **averaging), 1)
    assert [resumed[name] for name in VALUES] == values(last)


def test_a_trial_is_limited_by_the_zeros_that_it_will_have(steps, shards, tmp_path):
    """Before its pruning is over a trial has the bytes of its estimate, then those of its file; a limit that the dense
    network is over does not end it."""
    model = {**trial_config(shards, tmp_path)["model"], "expansion": 12, "stages": [{"filters": 16, "stride": 2}] * 2}
    train = {"sparsity": 0.9, "sparsity_span": [0.0, 0.5]}
    cost = estimate(parse_network(model), (16, 32, 1), 3, sparsity=0.9).nonzero_weight_bytes["int8_weights"]
    config = trial_config(shards, tmp_path, model=model, train=train)
    config["shared"]["rules"] = {"name": "custom", "limits": {"nonzero_weight_bytes": cost}}
    first, last = steps(config, 2)
    assert [first["outcome"], last["outcome"]] == ["rung", "rung"]
    assert first["nonzero_weight_bytes"] == cost < first["weight_bytes"]
    assert 0.98 * cost < last["nonzero_weight_bytes"] <= cost


def test_an_interrupted_trial_goes_on_exactly_where_it_was(steps, whole, shards, tmp_path):
    """Trained to its first rung in one process and on in another, a trial comes to the values of an undisturbed one."""
    steps(trial_config(shards, tmp_path), 1)
    before = (tmp_path / "t0001.npz").stat().st_mtime_ns
    [second] = steps(trial_config(shards, tmp_path, next_rung=1), 1)
    assert second["rung"] == 1
    assert [second[name] for name in VALUES] == values(whole[1])
    assert (tmp_path / "t0001.npz").stat().st_mtime_ns > before


@pytest.mark.parametrize("content", [None, b"", b"garbage", "ahead"])
def test_without_a_usable_checkpoint_a_trial_starts_again(steps, whole, shards, tmp_path, content):
    """Missing, empty, damaged, or further than the ledger knows: the trial trains from the start to the same values."""
    if content == "ahead":
        steps(trial_config(shards, tmp_path), 2)
        next_rung = 0
    else:
        next_rung = 1
        if content is not None:
            (tmp_path / "t0001.npz").write_bytes(content)
    [result] = steps(trial_config(shards, tmp_path, next_rung=next_rung), 1)
    assert [result[name] for name in VALUES] == values(whole[next_rung])


def test_a_checkpoint_holds_no_pickles(steps, shards, tmp_path):
    """The rung checkpoint can be read with pickles forbidden, and nothing else is left in its folder."""
    steps(trial_config(shards, tmp_path), 1)
    assert [path.name for path in tmp_path.iterdir()] == ["t0001.npz"]
    with np.load(tmp_path / "t0001.npz", allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "fiuU" for name in file)


def test_a_diverged_training_is_a_failed_trial(steps, shards, tmp_path):
    """A loss that is no number ends the trial as failed, with the reason."""
    [result] = steps(trial_config(shards, tmp_path, train={"learning_rate": 1e30}), 1)
    assert result["outcome"] == "failed"
    assert "diverged" in result["reason"]


def test_a_file_over_the_limit_is_a_failed_trial(steps, whole, shards, tmp_path):
    """A file's size is known at the rung: over the limit it gives no values, but a failure that says by how much."""
    config = trial_config(shards, tmp_path)
    size = whole[0]["file_bytes"]
    config["shared"]["rules"] = {"name": "custom", "limits": {"file_bytes": size - 1}}
    [result] = steps(config, 1)
    assert result["outcome"] == "failed"
    assert f"file_bytes {size:,} over {size - 1:,} by 1" in result["reason"]


def test_a_network_that_cannot_be_described_is_a_failed_trial(steps, shards, tmp_path):
    """Whatever a candidate breaks on is told as its failure, with what the error says."""
    [result] = steps(trial_config(shards, tmp_path, model={"blocks": []}), 1)
    assert result["outcome"] == "failed"
    assert result["reason"].startswith("ValidationError: ")
    assert "family" in result["reason"]
    assert result["traceback"].startswith("Traceback")
    assert "parse_network" in result["traceback"]


def test_missing_shards_are_fatal(steps, tmp_path):
    """What every trial would break on is told as fatal, naming the path."""
    [result] = steps(trial_config(tmp_path / "nowhere", tmp_path), 1)
    assert result["outcome"] == "fatal"
    assert "nowhere" in result["reason"]


def test_a_trial_trains_by_its_own_recipe_and_is_scored_in_its_own_mode(steps, whole, shards, tmp_path):
    """Recipe and export mode come with the trial: another rate gives other scores, float32 four times the kernels."""
    [result] = steps(trial_config(shards, tmp_path, train={"learning_rate": 1e-4}, mode="float32"), 1)
    assert result["outcome"] == "rung", result
    assert abs(result["log_loss"] - whole[0]["log_loss"]) > 0.01
    assert result["weight_bytes"] > 2 * whole[0]["weight_bytes"]


@pytest.mark.parametrize("changes", [{"deltas": 1}, {"scaling": "standardize"}])
def test_a_trial_reads_as_its_own_reader_says(steps, whole, shards, tmp_path, changes):
    """With a reader of its own a trial comes to the values of a search whose reader is that one."""
    config = trial_config(shards, tmp_path / "own")
    [own] = steps({**config, "reader": {**config["shared"]["reader"], **changes}}, 1)
    config = trial_config(shards, tmp_path / "shared")
    config["shared"]["reader"] |= changes
    [shared] = steps(config, 1)
    assert [own[name] for name in VALUES] == values(shared)
    assert own["log_loss"] != pytest.approx(whole[0]["log_loss"], rel=1e-4)


def parted(shards, folder, **changes):
    """Return the configuration of a trial with two parts: a network at its first rung, two at its last."""
    config = trial_config(shards, folder, **changes)
    config["shared"]["inner_folds"] = 2
    return config


@pytest.fixture(scope="module")
def in_parts(steps, sealed_shards, tmp_path_factory):
    """What an undisturbed trial with two parts tells at its two rungs, and its folder after each."""
    folders = [tmp_path_factory.mktemp("parts") / str(number) for number in range(2)]
    told = steps(parted(sealed_shards, folders[1]), 2)
    steps(parted(sealed_shards, folders[0]), 1)
    return told, folders


def test_a_trial_in_parts_is_scored_on_what_its_networks_were_trained_without(in_parts, ray_here, shards, tmp_path):
    """Its scores are those over the clips of both parts, each predicted by the file of a network that was trained
    without it, and at the first rung those over one part. Sizes are those of the larger file."""
    import ray

    told, _ = in_parts
    remote = ray.remote(num_cpus=1)(out_of_fold)
    by_hand = ray.get(remote.remote(parted(shards, tmp_path), (1, 2)))
    assert by_hand[1].n_clips == 24  # all recorded clips of train and validation
    for result, (accuracy, loss, _) in zip(told, by_hand, strict=True):
        assert result["macro_accuracy"] == pytest.approx(accuracy)
        assert result["log_loss"] == pytest.approx(loss, rel=1e-5)
        assert result["seconds"] == pytest.approx(result["train_seconds"] + result["reading_seconds"], abs=0.01)


def test_each_network_has_a_checkpoint(in_parts):
    """One at the first rung, one for each part at the last, no report left beside them."""
    _, folders = in_parts
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names == [["t0001.1.npz"], ["t0001.1.npz", "t0001.2.npz"]]


@pytest.mark.parametrize("kept", [(), ("t0001.1.npz",), ("t0001.1.npz", "t0001.2.npz")])
def test_a_trial_in_parts_goes_on_where_it_was(steps, in_parts, shards, tmp_path, kept):
    """Killed before, between and after the networks of its last rung, it trains only those that are not finished, and
    comes to the values of an undisturbed one."""
    told, (before, after) = in_parts
    folder = shutil.copytree(before, tmp_path / "states")
    for name in kept:
        shutil.copy2(after / name, folder / name)
    times = {name: (folder / name).stat().st_mtime_ns for name in kept}
    [result] = steps(parted(shards, folder, next_rung=1), 1)
    assert [result[name] for name in VALUES] == values(told[1])
    assert {name: (folder / name).stat().st_mtime_ns for name in kept} == times
    assert sorted(path.name for path in folder.iterdir()) == ["t0001.1.npz", "t0001.2.npz"]


def test_more_parts_than_locations_are_fatal(steps, shards, tmp_path):
    """The message names the key of the search, not that of retraining."""
    config = parted(shards, tmp_path)
    config["shared"]["inner_folds"] = 13
    [result] = steps(config, 1)
    assert result["outcome"] == "fatal"
    assert result["reason"].startswith("search.inner_folds: 13 parts need at least 13 locations, the training side has")


def test_a_standardizing_trial_in_parts_is_scaled_without_what_it_predicts(ray_here, steps, shards, tmp_path):
    """Of three rungs the middle one has two of three networks, the second read by the template of the first; each is
    scaled by the statistics of what it is trained on."""
    import ray

    config = parted(shards, tmp_path)
    config["shared"] |= {"inner_folds": 3, "rungs": [2, 4, 6]}
    config["reader"] = {**config["shared"]["reader"], "scaling": "standardize"}
    told = steps(config, 3)
    by_hand = ray.get(ray.remote(num_cpus=1)(out_of_fold).remote(config, (1, 2, 3)))
    assert [result["log_loss"] for result in told] == pytest.approx([one.log_loss for one in by_hand], rel=1e-5)
    assert [one.n_clips for one in by_hand] == sorted({one.n_clips for one in by_hand})
