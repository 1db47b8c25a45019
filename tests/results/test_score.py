"""Scores of an output file agree with scores computed otherwise, and bad files are named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from results_support import clips, predictions

from data_prep.errors import DataError
from results.candidates.predictions import write_predictions
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
    """A truth with names and scenes alone is enough: TAU's names have the rest, and other names are scored without."""
    output_csv, truth_csv, output, _ = _files(tmp_path)
    listed = score_submission(output_csv, truth_csv)
    bare = pd.read_csv(truth_csv, sep="\t")[["filename", "scene_label"]]
    bare.to_csv(truth_csv, sep="\t", index=False)
    named = score_submission(output_csv, truth_csv)
    assert "truth.csv: devices and locations taken from the file names" in named.pop("notes")
    assert named == {name: value for name, value in listed.items() if name != "notes"}
    numbers = [f"{row}.wav" for row in range(len(bare))]
    output.assign(filename=numbers).to_csv(output_csv, sep="\t", index=False)
    bare.assign(filename=numbers).to_csv(truth_csv, sep="\t", index=False)
    assert not {"by_device", "macro_accuracy_interval"} & set(score_submission(output_csv, truth_csv))


def test_every_form_of_an_output_has_the_same_scores(tmp_path: Path) -> None:
    """CSV, headerless TSV of logits, Parquet of sums over members in another order of columns: recognised, and said."""
    output_csv, truth_csv, output, _ = _files(tmp_path)
    known, reference = list(CLASSES), tmp_path / "truth.parquet"
    clips_30 = predictions(clips(30, CLASSES), CLASSES, 1.5, 1)
    write_predictions(reference, clips_30)
    names, p = output["filename"], output[known].to_numpy(dtype=np.float64)
    output.drop(columns="scene_label").to_csv(tmp_path / "a.csv")  # with the row numbers of pandas
    logits = pd.DataFrame(np.log(p) + np.arange(30)[:, None] % 3, index=names)
    logits.to_csv(tmp_path / "b.tsv", sep="\t", header=False)
    pd.DataFrame(3 * p, columns=known).assign(clip_id=names.str.removesuffix(".wav"))[
        [*reversed(known), "clip_id"]
    ].to_parquet(tmp_path / "c.parquet")
    expected = score_submission(output_csv, truth_csv)
    for name, values, reference_path in (
        ("a.csv", "probabilities", truth_csv),
        ("b.tsv", "logits", reference),
        ("c.parquet", "sums", reference),
    ):
        result = score_submission(tmp_path / name, reference_path)
        assert result["values"] == values
        assert any(values in note for note in result["notes"])
        for score in ("macro_accuracy", "log_loss", "brier_score", "calibration_error"):
            assert result[score] == pytest.approx(expected[score], abs=1e-6), (name, score)
        assert result["by_device"].keys() == expected["by_device"].keys()
    stated = score_submission(tmp_path / "b.tsv", truth_csv, classes=CLASSES, values="logits")
    assert stated["log_loss"] == pytest.approx(expected["log_loss"])
    assert stated["notes"] == [f"b.tsv: no header; scores are in the order of --classes: {', '.join(CLASSES)}"]


def test_what_is_ambiguous_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """No header and no order, positive scores of any sum, columns that are no scores: each says which option helps."""
    output_csv, truth_csv, output, _ = _files(tmp_path)
    output.drop(columns="scene_label").to_csv(output_csv, sep="\t", index=False, header=False)
    with pytest.raises(DataError, match=r"3 columns of scores are unknown.*--classes NAME"):
        score_submission(output_csv, truth_csv)
    with pytest.raises(DataError, match="3 columns of scores, but there are 2 scenes"):
        score_submission(output_csv, truth_csv, classes=CLASSES[:2])
    scaled = output.copy()
    scaled[list(CLASSES)] = output[list(CLASSES)].mul(1 + 0.37 * np.arange(len(output)), axis=0)
    scaled.to_csv(output_csv, sep="\t", index=False)
    with pytest.raises(DataError, match=r"sum to .*State what the scores are.*--values logits"):
        score_submission(output_csv, truth_csv)
    assert score_submission(output_csv, truth_csv, values="sums")["values"] == "sums"
    with pytest.raises(DataError, match="not to 1"):
        score_submission(output_csv, truth_csv, values="probabilities")
    output.assign(system="mine").to_csv(output_csv, sep="\t", index=False)
    with pytest.raises(DataError, match=r"column system has 'mine'.*--classes"):
        score_submission(output_csv, truth_csv)
    assert score_submission(output_csv, truth_csv, classes=CLASSES)["n_clips"] == 30
    numbered = output.rename(columns={scene: str(number) for number, scene in enumerate(CLASSES)})
    numbered.to_csv(output_csv, sep="\t", index=False)
    with pytest.raises(DataError, match="scenes without a column"):
        score_submission(output_csv, truth_csv)
    (note, *_) = score_submission(output_csv, truth_csv, classes=CLASSES)["notes"]
    assert note == "output.csv: the columns 0, 1, 2 are taken as park, bus, tram"


def test_names_in_folders_of_classes_are_told_apart(tmp_path: Path) -> None:
    """Clips of one name in two folders match by their whole names."""
    names, scenes = [f"{scene}/1.wav" for scene in CLASSES], list(CLASSES)
    table = pd.DataFrame(np.eye(3), columns=scenes).assign(filename=names)
    table.iloc[::-1].to_csv(tmp_path / "output.csv", index=False)
    pd.DataFrame({"filename": names, "scene_label": scenes}).to_csv(tmp_path / "truth.csv", index=False)
    assert score_submission(tmp_path / "output.csv", tmp_path / "truth.csv")["macro_accuracy"] == 1


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
