"""A search may begin with named networks and earlier runs' trials: only with what is true here, too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from asc_models.config import TrainConfig
from asc_models.networks.presets import preset
from asc_models.networks.trace import trace
from data_prep.errors import ConfigError
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from search.objectives import Value
from search.space.config import SpaceConfig
from search.space.point import build
from search.space.space import Space
from search.strategies.warm_start import WarmStart, earlier_name, parse_warm_start, read_warm_start
from search.study.config import SearchConfig

SHAPE, N_CLASSES = (128, 423, 3), 10
SYSTEMS = tuple(f"cao2021-system{number}" for number in (1, 2, 3, 4))
TRAIN = TrainConfig()
SMALL = {"n_blocks": [3], "n_strided": [3], "growth": [1.0, 1.5], "expansion": [2], "dropout": [0.0]}


def space_of(**knobs: object) -> Space:
    return Space(SpaceConfig.model_validate({**SMALL, **knobs}), SHAPE, N_CLASSES)


def describe_by(space: Space, train: TrainConfig = TRAIN, epochs: int = 62, **changes: object):
    """Return what a point of `space` is trained as."""

    def describe(params):
        candidate = space.settings(params)
        return {
            "model": candidate.model.model_dump(mode="json"),
            "train": train.updated(epochs=epochs, **candidate.train_overrides).model_dump(mode="json"),
            "reader": {"deltas": 2},
            "mode": candidate.mode or "int8_weights",
            "fold": 1,
            **changes,
        }

    return describe


def write_run(root: Path, space: Space, describe, points, data_hash: str = "d0") -> Path:
    """Write a run with trials at `points`, each at two rungs, and one more that reached none."""
    run = RunDirectory(root)
    root.mkdir()
    run.config_path.write_text(yaml.safe_dump({"data": {"name": "made", "manifest_hash": data_hash}}))
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        for number, params in enumerate([*points, space.smallest()]):
            trial_id = f"t{number:04d}"
            ledger.append("trial_started", trial_id=trial_id, params=params, key="k", config=describe(params), macs=7)
            for rung, epochs in enumerate((2, 6) if number < len(points) else ()):
                scores = {"macro_accuracy": 0.5 + rung / 10, "log_loss": 1.0, "weight_bytes": 900 + number}
                ledger.append("rung", trial_id=trial_id, rung=rung, epochs=epochs, **scores)
    return root


def read(
    space: Space, runs=(), presets=(), describe=None, data_hash: str = "d0", *, has_prior: bool = True
) -> WarmStart:
    recipe = {**TRAIN.model_dump(), "mode": "int8_weights"}
    return read_warm_start(
        runs,
        presets,
        space=space,
        describe=describe or describe_by(space),
        recipe=recipe,
        data_hash=data_hash,
        input_shape=SHAPE,
        n_classes=N_CLASSES,
        has_prior=has_prior,
    )


def test_the_default_space_holds_the_papers_systems():
    """The first candidates of a search by default are the four systems, not points near them."""
    found = read(Space(SpaceConfig(), SHAPE, N_CLASSES), presets=SearchConfig().presets)
    names = [point.name for point in found.presets]
    assert names == ["cao2021-system1", "cao2021-system3", "cao2021-system4"]
    assert found.notes[-1] == "cao2021-system2: the same point as cao2021-system1"
    for point in found.presets:
        assert point.distance == 0
        assert build("inverted_residual", point.params).model == preset(point.name)


def test_named_networks_of_the_space_are_its_points():
    """Where the space has their stages, the paper's systems are exact; the first two are one network, taken once."""
    three = [{"filters": filters, "stride": 2} for filters in (32, 48, 64)]
    space = Space(SpaceConfig.model_validate({"stages": [three, [*three, {"filters": 80}]]}), SHAPE, N_CLASSES)
    found = read(space, presets=SYSTEMS)
    assert [(point.name, point.distance) for point in found.presets] == [
        ("cao2021-system1", 0),
        ("cao2021-system3", 0),
        ("cao2021-system4", 0),
    ]
    for point in found.presets:
        network = space.settings(point.params).model
        assert trace(network, SHAPE, N_CLASSES) == trace(preset(point.name), SHAPE, N_CLASSES)
        assert space.parse(point.params) == point.params
    assert found.notes == (
        "cao2021-system1, cao2021-system3, cao2021-system4: a point of the space",
        "cao2021-system2: the same point as cao2021-system1",
    )


def test_a_network_beside_the_space_has_a_nearest_point():
    """Widths 32, 48, 64 lie between this space's 32, 48, 72 and others; what the space has is as it was."""
    space = Space(SpaceConfig.model_validate({"growth": [1.0, 1.25, 1.5]}), SHAPE, N_CLASSES)
    (point,) = read(space, presets=["cao2021-system1"]).presets
    shape = {"n_blocks": 3, "n_strided": 3, "base_filters": 32, "growth": 1.5}
    same = {"stem_filters": 32, "kernel_size": 5, "expansion": 2, "attention": "casam", "reduction_ratio": 8}
    assert point.params == {**shape, **same, "dropout": 0.0}
    assert 0 < point.distance < 2


def test_networks_far_from_the_space_are_left_out_in_one_note():
    """No point of a space of tiny networks is near the paper's systems: one note names them all, with the rule."""
    found = read(space_of(base_filters=[4], n_blocks=[1]), presets=SYSTEMS)
    assert found.presets == ()
    assert found.notes == (f"{', '.join(SYSTEMS)}: left out: no point of the space is near (distance over 8)",)


def test_a_named_network_is_trained_by_the_runs_own_recipe():
    """Where the space leaves recipe and export open, the point is the one with the run's."""
    rates = [TRAIN.learning_rate / 4, TRAIN.learning_rate, TRAIN.learning_rate * 2]
    space = space_of(**{"train.learning_rate": rates, "mode": ["float16", "int8_weights"]})
    (point,) = read(space, presets=["cao2021-system1"]).presets
    assert point.params["train.learning_rate"] == TRAIN.learning_rate
    assert point.params["mode"] == "int8_weights"


def test_networks_of_another_kind_are_left_out_and_unknown_ones_refused():
    """Another family is no point of the space; a name that no network has is an error with those there are."""
    found = read(space_of(), presets=["cp-mobile", "dcase2021-baseline"])
    assert found.presets == ()
    assert all("left out" in note and "the space is of inverted_residual" in note for note in found.notes)
    with pytest.raises(ConfigError, match="unknown network 'cao'"):
        read(space_of(), presets=["cao"])


def test_earlier_trials_are_known_with_their_values(tmp_path):
    """Same space, data and settings: every trial that reached a rung, with what it came to at each."""
    space = space_of()
    points = list(space.points())[:3]
    found = read(space, [write_run(tmp_path / "first", space, describe_by(space), points)])
    assert [trial.params for trial in found.trials] == points
    assert found.trials[1].values == {2: Value(0.5, 1.0, 901, 7), 6: Value(0.6, 1.0, 901, 7)}
    assert found.trials[1].run.startswith("first (20")
    assert found.trials[1].trial_id == "t0001"
    assert all(trial.is_comparable for trial in found.trials)
    assert found.notes == ("first: 3 of its 4 trials are used; 1 left out: reached no rung",)


def test_failed_trials_are_left_out(tmp_path):
    """A trial that diverged after a good rung has scores, and is no example of a good network."""
    space = space_of()
    root = write_run(tmp_path / "first", space, describe_by(space), list(space.points())[:3])
    with Ledger.open_for_writing(RunDirectory(root).ledger_path) as ledger:
        ledger.append("trial_ended", trial_id="t0001", state="failed", reason="training diverged")
    found = read(space, [root])
    assert [trial.trial_id for trial in found.trials] == ["t0000", "t0002"]
    assert found.notes == ("first: 2 of its 4 trials are used; 1 left out: failed; 1 left out: reached no rung",)


def test_the_ledger_keeps_what_was_known(tmp_path):
    """Written as an event and read again, it is the same, but for points that the space has no more."""
    wide, narrow = space_of(kernel_size=[3, 5]), space_of(kernel_size=3)
    run = write_run(tmp_path / "first", wide, describe_by(wide), list(wide.points())[::7])
    found = read(wide, [run], ["cao2021-system1", "cao2021-system3"])
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append("warm_started", **found.fields())
    (event,) = ledger.events()
    assert parse_warm_start(event, wide) == found
    others = read(wide, [run], data_hash="d1")
    assert len(others.trials) == len(found.trials)
    assert parse_warm_start(others.fields(), wide) == others
    left = parse_warm_start(event, narrow)
    assert [point.name for point in left.presets] == ["cao2021-system3"]
    assert len(left.trials) == sum(trial.params["kernel_size"] == 3 for trial in found.trials)


def test_of_a_wider_space_what_lies_in_this_one_is_taken(tmp_path):
    """A knob that is fixed here and was free there, or the other way round: the points that both have."""
    wide, narrow = space_of(kernel_size=[3, 5]), space_of(kernel_size=3)
    points = list(wide.points())[::7]
    inside = [params for params in points if params["kernel_size"] == 3]
    found = read(narrow, [write_run(tmp_path / "wide", wide, describe_by(wide), points)])
    assert len(found.trials) == len(inside) < len(points)
    assert all(narrow.parse(trial.params) == trial.params for trial in found.trials)
    back = read(wide, [write_run(tmp_path / "narrow", narrow, describe_by(narrow), inside)])
    assert [trial.params for trial in back.trials] == inside


OTHERS = [
    ({"train": TRAIN.updated(batch_size=8)}, "train.batch_size: 8 there"),
    ({"reader": {"deltas": 0}}, "reader.deltas: 0 there, 2 here"),
    ({"mode": "float16"}, "mode: 'float16' there"),
    ({"fold": 2}, "fold: 2 there, 1 here"),
    ({"inner_folds": 4}, "inner_folds: 4 there, None here"),
]


@pytest.mark.parametrize(("theirs", "word"), OTHERS)
@pytest.mark.parametrize("n_trials", [7, 8])
def test_trials_trained_otherwise_are_at_most_a_prior(tmp_path, theirs, word, n_trials):
    """Another recipe, reader, export or fold, or scores over parts: a prior if they are enough for one; told with the
    setting that differs."""
    space = space_of(dropout=[0.0, 0.2], kernel_size=[3, 5], attention=["none", "casam"])
    points = list(space.points())[:n_trials]
    run = write_run(tmp_path / "other", space, describe_by(space, **theirs), points)
    found = read(space, [run])
    (note,) = found.notes
    assert f"other settings ({word}" in note
    if n_trials == 8:
        assert [trial.params for trial in found.trials] == points
        assert not any(trial.is_comparable for trial in found.trials)
        assert note.startswith("other: 8 of its 9 trials are a prior that fades: other settings (")
    else:
        assert found.trials == ()
        assert "other: 0 of its 8 trials are used; 7 left out: other settings (" in note
        assert "and fewer than the 8 that a prior needs; 1 left out: reached no rung" in note
    assert read(space, [run], has_prior=False).trials == ()


def test_length_matters_only_where_the_schedule_hangs_on_it(tmp_path):
    """Cycles of restarts are the same however long the training; one cosine over all of it is not."""
    space = space_of()
    for schedule, n_known in (("sgdr", 1), ("cosine", 0)):
        train = TRAIN.updated(schedule=schedule)
        run = write_run(tmp_path / schedule, space, describe_by(space, train, epochs=126), [space.smallest()])
        assert len(read(space, [run], describe=describe_by(space, train)).trials) == n_known


def test_other_data_are_said(tmp_path):
    """Other clips make other values: they are at most a prior."""
    space = space_of()
    run = write_run(tmp_path / "other", space, describe_by(space), [space.smallest()], data_hash="d1")
    found = read(space, [run])
    few = "1 left out: other data (d1, here d0), and fewer than the 8 that a prior needs"
    told = f"other: 0 of its 2 trials are used; {few}; 1 left out: reached no rung"
    assert (found.trials, found.notes) == ((), (told,))


def test_runs_in_folders_of_one_name_are_told_apart(tmp_path):
    """Two runs called alike are known by when they were begun; one that is not begun has a name, too."""
    space = space_of()
    names = set()
    for day in ("2026-01-05", "2026-01-06"):
        (tmp_path / day).mkdir()
        run = write_run(tmp_path / day / "run", space, describe_by(space), [])
        text = RunDirectory(run).ledger_path.read_text()
        RunDirectory(run).ledger_path.write_text(re.sub(r'"time": "[\d-]+', f'"time": "{day}', text))
        names.add(earlier_name(run))
    assert len(names) == 2
    assert all(name.startswith("run (20") for name in names)
    assert earlier_name(tmp_path) == f"{tmp_path.name} (not begun)"
