"""Scores of an output file agree with scores computed otherwise, and bad files are named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from results_support import clips, predictions

from data_prep.errors import DataError
from results.score import score_submission

CLASSES = ("park", "bus", "tram")


def _files(folder: Path, sep: str = "\t", n: int = 30) -> tuple[Path, Path, pd.DataFrame, pd.DataFrame]:
    made = predictions(clips(n, CLASSES), CLASSES, 1.5, 1)
    names = made.clips["filename"]
    output = pd.DataFrame({"filename": names.str.removeprefix("audio/")})
    output["scene_label"] = [CLASSES[i] for i in made.probabilities.argmax(axis=1)]
    for i, scene in enumerate(CLASSES):
        output[scene] = made.probabilities[:, i]
    known = {"identifier": made.clips["location"], "source_label": made.clips["device"]}
    truth = pd.DataFrame({"filename": names, "scene_label": made.clips["scene"], **known})
    output.to_csv(folder / "output.csv", sep="\t", index=False)
    truth.sample(frac=1, random_state=0).to_csv(folder / "truth.csv", sep=sep, index=False, lineterminator="\r\n")
    return folder / "output.csv", folder / "truth.csv", output, truth


@pytest.mark.parametrize("sep", ["\t", ","])
def test_scores_agree_with_scikit_learn(tmp_path: Path, sep: str) -> None:
    """Log loss and macro accuracy are scikit-learn's log_loss and balanced accuracy, whatever the truth's order."""
    from sklearn.metrics import balanced_accuracy_score, log_loss

    output_csv, truth_csv, output, truth = _files(tmp_path, sep)
    result = score_submission(output_csv, truth_csv)
    probabilities = output[sorted(CLASSES)].to_numpy(dtype=np.float64)
    expected = log_loss(truth["scene_label"], probabilities / probabilities.sum(axis=1, keepdims=True))
    assert result["log_loss"] == pytest.approx(expected, abs=1e-6)
    assert result["macro_accuracy"] == pytest.approx(
        balanced_accuracy_score(truth["scene_label"], output["scene_label"])
    )
    assert list(result["by_scene"]) == list(CLASSES)
    assert set(result["by_device"]) == set(truth["source_label"])
    low, high = result["macro_accuracy_interval"]
    assert 0 <= low <= result["macro_accuracy"] <= high <= 1


def test_devices_and_locations_are_optional(tmp_path: Path) -> None:
    """A truth with names and scenes alone is enough."""
    output_csv, truth_csv, _, truth = _files(tmp_path)
    truth[["filename", "scene_label"]].to_csv(truth_csv, sep="\t", index=False)
    assert set(score_submission(output_csv, truth_csv)) == {"macro_accuracy", "log_loss", "by_scene", "n_clips"}


def test_missing_and_extra_clips_are_named(tmp_path: Path) -> None:
    """A clip that lacks a row and a row that no clip has are both reported at once, with their names."""
    output_csv, truth_csv, output, _ = _files(tmp_path)
    gone = output["filename"][0]
    output.loc[0, "filename"] = "ghost.wav"
    output.to_csv(output_csv, sep="\t", index=False)
    with pytest.raises(DataError, match=rf"lacks 1 clip \({gone}\)[\s\S]*has 1 clip \(ghost"):
        score_submission(output_csv, truth_csv)


def test_a_clip_twice_is_named(tmp_path: Path) -> None:
    """Two rows of one clip are refused."""
    output_csv, truth_csv, output, _ = _files(tmp_path)
    pd.concat([output, output.iloc[:1]]).to_csv(output_csv, sep="\t", index=False)
    with pytest.raises(DataError, match="more than once"):
        score_submission(output_csv, truth_csv)


@pytest.mark.parametrize("value", ["abc", "nan", "-0.5", "inf", ""])
def test_a_probability_that_is_none_names_the_clip(tmp_path: Path, value: str) -> None:
    """Text, NaN, infinities and negative numbers are no probabilities."""
    output_csv, truth_csv, output, _ = _files(tmp_path)
    output = output.astype({"park": object})
    output.loc[3, "park"] = value
    output.to_csv(output_csv, sep="\t", index=False)
    with pytest.raises(DataError, match=output["filename"][3]):
        score_submission(output_csv, truth_csv)


@pytest.mark.parametrize("factor", [0.0, 0.9, 100.0])
def test_rows_that_are_no_distribution_are_refused(tmp_path: Path, factor: float) -> None:
    """Shares of 100, zeros and the like are told with their sum; two digits a probability are enough."""
    output_csv, truth_csv, output, _ = _files(tmp_path)
    output[list(CLASSES)].round(2).join(output[["filename", "scene_label"]]).to_csv(output_csv, sep="\t", index=False)
    score_submission(output_csv, truth_csv)
    output.loc[4, list(CLASSES)] *= factor
    output.to_csv(output_csv, sep="\t", index=False)
    with pytest.raises(DataError, match=rf"{output['filename'][4]}\) sum to {factor:.3f}, not to 1"):
        score_submission(output_csv, truth_csv)


def test_the_answer_is_the_files_own_label(tmp_path: Path) -> None:
    """Where a system answers another scene than its most probable one, accuracy counts the answer, log loss doesn't."""
    output_csv, truth_csv, output, truth = _files(tmp_path)
    before = score_submission(output_csv, truth_csv)
    output.assign(scene_label=truth["scene_label"]).to_csv(output_csv, sep="\t", index=False)
    result = score_submission(output_csv, truth_csv)
    assert result["macro_accuracy"] == 1 > before["macro_accuracy"]
    assert {one["macro_accuracy"] for one in result["by_device"].values()} == {1}
    low, high = result["macro_accuracy_interval"]
    assert 0 < low < 1 == high
    assert result["log_loss"] == before["log_loss"]
    output.assign(scene_label="beach").to_csv(output_csv, sep="\t", index=False)
    with pytest.raises(DataError, match=r"output\.csv: scenes without a column in output\.csv: beach"):
        score_submission(output_csv, truth_csv)


def test_other_bad_files_are_named(tmp_path: Path) -> None:
    """No file, no rows, no columns, an unknown scene: each is an error that names the file."""
    output_csv, truth_csv, output, truth = _files(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        score_submission(tmp_path / "none.csv", truth_csv)
    truth.assign(scene_label="beach").to_csv(truth_csv, sep="\t", index=False)
    with pytest.raises(DataError, match="beach"):
        score_submission(output_csv, truth_csv)
    truth[["filename"]].to_csv(truth_csv, sep="\t", index=False)
    with pytest.raises(DataError, match="scene_label"):
        score_submission(output_csv, truth_csv)
    truth_csv.write_text("filename\tscene_label\n")
    with pytest.raises(DataError, match="no rows"):
        score_submission(output_csv, truth_csv)
    output[["filename", "scene_label"]].to_csv(output_csv, sep="\t", index=False)
    truth.to_csv(truth_csv, sep="\t", index=False)
    with pytest.raises(DataError, match="no probability columns"):
        score_submission(output_csv, truth_csv)


def test_scenes_that_the_truth_lacks_are_named(tmp_path: Path) -> None:
    """Macro accuracy is over the scenes that the truth has: the others are named beside it."""
    output_csv, truth_csv, output, truth = _files(tmp_path)
    assert "absent_scenes" not in score_submission(output_csv, truth_csv)
    kept = (truth["scene_label"] != "tram").to_numpy()
    output[kept].to_csv(output_csv, sep="\t", index=False)
    truth[kept].to_csv(truth_csv, sep="\t", index=False)
    assert score_submission(output_csv, truth_csv)["absent_scenes"] == ["tram"]
