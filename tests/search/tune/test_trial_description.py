"""What a point of the space is to the search: its key, what is trained, what it weighs."""

from dataclasses import replace

import pytest
from search_support import SPEC, settings

from asc_models.config import TrainConfig
from data_prep.errors import ConfigError
from search.space.config import SpaceConfig
from search.space.space import Space
from search.study.settings import candidate_sizing, trial_description


def test_a_trials_description_is_all_that_is_trained():
    """Recipe and export are the point's own, the rest the run's; points that come to the same have one key."""
    space = SpaceConfig.model_validate(
        {
            "n_blocks": 1, "n_strided": [1, 2], "mode": ["int8_weights", "float16"],
            "train.mixup_alpha": [0.2, 0.4], "train.learning_rate": {"low": 0.01, "high": 0.1, "log": True},
        }
    )  # fmt: skip
    config = replace(settings(mode="int8"), space=space)
    params = {**Space(space).smallest(), "mode": "float16", "train.mixup_alpha": 0.4, "train.learning_rate": 0.07}
    key, described = trial_description(config, "data", params)
    assert set(described) == {"model", "train", "reader", "mode", "fold"}
    assert described["mode"] == "float16"
    own = {"mixup_alpha": 0.4, "learning_rate": 0.07, "epochs": config.search.epochs}
    assert TrainConfig.model_validate(described["train"]) == config.train.updated(**own)
    plain = replace(config, space=settings().space)
    assert trial_description(plain, "data", Space(plain.space).smallest())[1]["mode"] == "int8"
    keys = {name: trial_description(config, "data", {**params, name: value})[0] for name, value in (
        ("n_strided", 2), ("train.mixup_alpha", 0.2), ("train.learning_rate", 0.08), ("mode", "int8_weights"),
    )}  # fmt: skip
    assert params["n_strided"] == 1
    assert keys.pop("n_strided") == key  # one block has one stride, whatever they may be
    assert len({key, *keys.values()}) == 4


def test_the_number_of_parts_is_described_where_there_are_some():
    """Trials that are scored on other clips have another key; those of runs without parts keep the key they had."""
    plain = settings()
    params = Space(plain.space).smallest()
    (key, described), (other, parted) = (
        trial_description(config, "data", params) for config in (plain, settings(inner_folds=3))
    )
    assert parted == {**described, "inner_folds": 3}
    assert key != other
    assert key == "7ad9073c2aeb"  # computed by the version before


def test_a_candidate_is_sized_with_its_windows():
    """MACs are those of all windows, bytes those of the network; windows longer than a clip are the reader's error."""
    plain = settings()
    windowed = replace(plain, reader=plain.reader.updated(scaling="none", window_seconds=0.512, n_windows=4))
    params = Space(plain.space).smallest()
    whole, voting = (candidate_sizing(config, SPEC, 3, params) for config in (plain, windowed))
    assert voting.weight_bytes == whole.weight_bytes
    assert voting.n_params == whole.n_params
    assert voting.macs == pytest.approx(2 * whole.macs, rel=0.1)  # four halves of a clip
    too_long = replace(plain, reader=windowed.reader.updated(window_seconds=3.0))
    with pytest.raises(ConfigError, match=r"reader.window_seconds: 3 s are 94 frames, and must be 1 to 32"):
        candidate_sizing(too_long, SPEC, 3, params)
    keys = {trial_description(config, "data", params)[0] for config in (plain, windowed)}
    assert len(keys) == 2


def test_a_candidate_is_sized_in_its_own_mode():
    """Bytes are those of the point's export; a point that no network can be is infeasible with its reason."""
    space = SpaceConfig.model_validate({"mode": ["int8_weights", "float32"]})
    config = replace(settings(), space=space)
    params = Space(space).smallest()
    modes = ("int8_weights", "float32")
    small, large = (candidate_sizing(config, SPEC, 3, {**params, "mode": mode}) for mode in modes)
    assert small.weight_bytes * 3 < large.weight_bytes
    broken = candidate_sizing(config, SPEC, 3, {**params, "base_filters": 512, "growth": 3.0})
    assert not broken.feasible
    assert "the widest block would have" in broken.reason
