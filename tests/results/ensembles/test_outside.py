"""Other systems join the selection of an ensemble, with a stated size, on validation alone."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from results_support import add_candidate, clips, make_run, predictions

from asc_models.rules import RulesConfig
from data_prep.corpora.corpus import TAU_SCENES
from data_prep.errors import AscError, BudgetError, ConfigError, DataError
from results.candidates.limits import Limits
from results.candidates.predictions import Predictions
from results.config import EnsembleConfig
from results.ensembles import outside
from results.ensembles.ensemble import Ensemble, build_ensemble, read_ensembles
from results.ensembles.outside import Asked, parse_member, read_outside, replace_outside
from results.report.data import read_run_data
from results.rundir import RunDirectory
from results.submission.systems import rank_systems


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run with two candidates, with the clips that `of_split` predicts."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    for name in ("a", "b"):
        add_candidate(run, name, size=50_000, skill=2.0)
    return run


def of_split(split: str, skill: float = 4.0) -> Predictions:
    n = {"validation": 120, "test": 240}[split]
    return predictions(clips(n, TAU_SCENES, n), TAU_SCENES, skill, 5)


def table(split: str, skill: float = 4.0) -> pd.DataFrame:
    made = of_split(split, skill)
    return pd.DataFrame(made.probabilities, columns=list(TAU_SCENES)).assign(filename=made.clips["filename"])


def joint_of(run: RunDirectory) -> Ensemble | None:
    build_ensemble(run, EnsembleConfig(), Limits())
    return next((one for one in read_ensembles(run) if one.outside), None)


def test_another_system_joins_beside_the_run_s_own_ensemble(run: RunDirectory, tmp_path: Path) -> None:
    """Bytes add up to the limit, the own ensemble stays, the joint one is reported and never ranked for a package."""
    alone = build_ensemble(run, EnsembleConfig(), Limits())
    both = pd.concat([table("test"), table("validation")]).sample(frac=1, random_state=0)
    both.to_csv(tmp_path / "teacher.csv", index=False)
    notes = replace_outside(run, [Asked(tmp_path / "teacher.csv", 40_000, None)], Limits())
    assert any(note.startswith("teacher: 40,000 bytes as stated; validation log loss") for note in notes)
    joint = joint_of(run)
    assert joint is not None
    assert joint.outside == {"teacher": 40_000}
    assert read_ensembles(run)[0] == alone
    assert joint.total_bytes == 40_000 + 50_000 * (len(joint.members) - 1) <= 128_000
    assert joint.gain is not None
    difference = joint.held_out[joint.method] - alone.held_out[alone.method]
    assert joint.gain[0] == pytest.approx(difference), "against the run's own ensemble"
    assert joint.gain[1] < joint.gain[0] < joint.gain[2]
    assert joint.metrics["validation"]["log_loss"] < alone.metrics["validation"]["log_loss"]
    data = read_run_data(run)
    assert data.test[joint.name].summarize() == joint.metrics["test"]
    assert "teacher" not in data.test
    ranked, left_out = rank_systems(run, Limits())
    assert joint.name not in {system.name for system in ranked}
    assert left_out[joint.name] == "its members teacher are other systems: there is no network of them to pack"
    assert replace_outside(run, [], Limits()) == ["teacher is not named by --member and no longer joins the ensemble"]
    assert joint_of(run) is None


def test_the_choice_does_not_depend_on_test(run: RunDirectory, tmp_path: Path) -> None:
    """Members and weights are the same with good, bad and no test predictions."""
    found = []
    for skill in (8.0, -8.0, None):
        folder = tmp_path / f"{skill}" / "other"
        folder.mkdir(parents=True)
        table("validation").to_parquet(folder / "validation.parquet")
        if skill is not None:
            table("test", skill).to_csv(folder / "test.csv", index=False)
        replace_outside(run, [Asked(folder, 40_000, None)], Limits())
        joint = joint_of(run)
        assert joint is not None
        assert ("test" in joint.metrics) == (skill is not None)
        found.append((joint.members, joint.temperature))
    assert found[0] == found[1] == found[2]


def test_headerless_columns_are_in_the_order_of_the_run(run: RunDirectory, tmp_path: Path) -> None:
    """A TSV of logits without header gives the same predictions, and the notes say what was assumed."""
    made = of_split("validation")
    logits = pd.DataFrame(np.log(made.probabilities), index=made.clips["clip_id"])
    logits.to_csv(tmp_path / "bare.tsv", sep="\t", header=False)
    notes = replace_outside(run, [Asked(tmp_path / "bare.tsv", 1_000, None)], Limits())
    (system,) = read_outside(run)
    np.testing.assert_allclose(system.predictions("validation").probabilities, made.probabilities, atol=1e-6)
    assert not system.has_predictions("test")
    assert f"bare.tsv: no header; scores are in the order of the run: {', '.join(TAU_SCENES)}" in notes
    assert "bare.tsv: scores recognised as logits; their softmax is taken" in notes


def test_what_cannot_join_is_refused_and_changes_nothing(run: RunDirectory, tmp_path: Path) -> None:
    """Missing clips, other scenes, a taken name, too many bytes, rules without bytes: the systems of before stay."""
    good = tmp_path / "good.csv"
    table("validation").to_csv(good, index=False)
    replace_outside(run, [Asked(good, 10, None)], Limits())
    some = tmp_path / "some.csv"
    pd.concat([table("validation"), table("test")[:7]]).to_csv(some, index=False)
    few = tmp_path / "few.csv"
    table("validation")[:-1].to_csv(few, index=False)
    renamed = tmp_path / "renamed.csv"
    table("validation").rename(columns={"tram": "train"}).to_csv(renamed, index=False)
    taken = tmp_path / "a-s0.csv"
    table("validation").to_csv(taken, index=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    rules, bytes_not_limited = Limits(), Limits(RulesConfig(name="dcase2022", limits={"macs": 10**9}))
    refusals: list[tuple[Path, int, Limits, type[AscError], str]] = [
        (some, 10, rules, DataError, "lacks 233 clips .* which the test split of the run has"),
        (few, 10, rules, DataError, r"lacks 1 clip \(.*validation split"),
        (renamed, 10, rules, DataError, "Name the columns by the scenes"),
        (taken, 10, rules, DataError, "name a-s0 is taken"),
        (empty, 10, rules, DataError, "no table validation"),
        (good, 128_001, rules, BudgetError, "over the limit alone: nonzero_weight_bytes 128,001"),
        (good, 10, bytes_not_limited, ConfigError, "limit n_params, macs and no bytes"),
    ]
    for path, n_bytes, limits, error, message in refusals:
        with pytest.raises(error, match=message):
            replace_outside(run, [Asked(path, n_bytes, None)], limits)
        assert [system.name for system in read_outside(run)] == ["good"]
    also_macs = Limits(RulesConfig(limits={"macs": 10**9}))
    notes = replace_outside(run, [Asked(good, 10, None)], also_macs)
    assert "good: its macs are not known and not counted" in notes


def test_a_call_that_is_killed_leaves_whole_systems(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the last file of the new system is written: that of before is there, and the report is read."""
    good, other = tmp_path / "good.csv", tmp_path / "other.csv"
    for path in (good, other):
        table("validation").to_csv(path, index=False)
    replace_outside(run, [Asked(good, 10, None)], Limits())

    def killed(path: Path, value: object) -> None:
        """Be the kill."""
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(outside, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            replace_outside(run, [Asked(other, 10, None)], Limits())
    (system,) = read_outside(run)
    assert (system.name, system.has_predictions("validation")) == ("good", True)
    assert read_run_data(run).candidates
    replace_outside(run, [Asked(other, 10, None)], Limits())
    assert [path.name for path in run.outside_dir.iterdir()] == ["other"]
    assert list(run.root.glob(".outside-*")) == []


def test_a_folder_without_a_description_does_not_join(run: RunDirectory, tmp_path: Path) -> None:
    """As a killed call of an earlier version left it; one with a damaged description is an error with the way out."""
    good = tmp_path / "good.csv"
    table("validation").to_csv(good, index=False)
    replace_outside(run, [Asked(good, 10, None)], Limits())
    (files,) = run.outside()
    for text in ("{", '{"n_bytes": Infinity}', "[]"):
        files.description_path.write_text(text)
        with pytest.raises(DataError, match=r"outside\.json: damaged; rerun `asc ensemble`, with --member"):
            read_outside(run)
    files.description_path.unlink()
    assert read_outside(run) == []


@pytest.mark.parametrize("text", ["x.csv", "x.csv:", ":40", "x.csv:0", "x.csv:many", "x.csv:40:words"])
def test_a_member_is_a_file_and_a_whole_number_of_bytes(text: str) -> None:
    """Everything else is refused with an example."""
    with pytest.raises(ConfigError, match=re.escape(f"--member {text}: must be FILE:BYTES, such as teacher.csv:40000")):
        parse_member(text)


def test_paths_of_members_may_have_colons() -> None:
    """The last numbers are the bytes; separators of thousands and the kind of scores are understood."""
    assert parse_member("C:/x.csv:40,000:logits") == Asked(Path("C:/x.csv"), 40_000, "logits")
    assert parse_member("s:1:2") == Asked(Path("s:1"), 2, None)
