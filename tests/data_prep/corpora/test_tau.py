"""The editions of TAU Urban Acoustic Scenes, as their own files have them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_prep_support import lines, write_tree

from data_prep.audio.decode import read_mono
from data_prep.config import CorpusConfig
from data_prep.corpora import read_corpus
from data_prep.corpora.corpus import Corpus
from data_prep.errors import DataError

HEADER = ("filename", "scene_label")
META_HEADER = (*HEADER, "identifier", "source_label")


def edition(root: Path, train: list[tuple[str, str]], test: list[tuple[str, str]], **text) -> Path:
    """Names as in the data set, `scene-city-location-segment[-i]-device`; identifier and device follow from them."""
    meta = []
    for name, label in (*train, *test):
        parts = name.split("-")
        meta.append((f"audio/{name}.wav", label, f"{parts[1]}-{parts[2]}", parts[-1]))
    return write_tree(
        root,
        {
            "meta.csv": lines(META_HEADER, *meta, **text),
            "evaluation_setup/fold1_train.csv": lines(HEADER, *((f"audio/{n}.wav", s) for n, s in train), **text),
            "evaluation_setup/fold1_evaluate.csv": lines(HEADER, *((f"audio/{n}.wav", s) for n, s in test), **text),
            "evaluation_setup/fold1_test.csv": lines("filename", *(f"audio/{n}.wav" for n, _ in test), **text),
        },
        [row[0] for row in meta],
    )


def by_id(corpus: Corpus) -> dict[str, tuple]:
    return {c.clip_id: (c.scene, c.device, c.city, c.location, c.segment) for c in corpus.clips}


def test_tau_2019_stereo_24_bit_48_khz(tmp_path):
    """2019: one device, CRLF, 24-bit stereo at 48 kHz; audio comes out mono at the wanted rate."""
    root = edition(tmp_path, [("airport-lisbon-1000-40000-a", "airport")], [("airport-lyon-1001-40001-a", "airport")])
    path = root / "audio/airport-lisbon-1000-40000-a.wav"
    left = 0.4 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    soundfile.write(path, np.stack([left, 0 * left], axis=1), 48000, subtype="PCM_24")
    corpus = read_corpus(root)
    assert (corpus.layout, corpus.classes, corpus.warnings) == ("tau", ("airport",), ())
    clip = ("airport", "a", "lisbon", "lisbon-1000", "40000")
    assert by_id(corpus)["airport-lisbon-1000-40000-a"] == clip
    y = read_mono(path, 44100)
    assert abs(len(y) - 44100) <= 1
    assert np.abs(y[1000:-1000]).max() == pytest.approx(0.2, abs=1e-3)


def test_tau_2020_mobile_twins_share_segment_and_location(tmp_path):
    """2020 Mobile: twins of nine devices differ in nothing but the device."""
    names = [
        (f"tram-vienna-1100-41000-{device}", "tram") for device in ("a", "b", "c", *(f"s{i}" for i in range(1, 7)))
    ]
    corpus = read_corpus(edition(tmp_path, names, [("tram-vienna-1101-1-a", "tram")], end="\r\n"))
    twins = [clip for clip in corpus.clips if clip.location == "vienna-1100"]
    assert {(c.scene, c.city, c.segment) for c in twins} == {("tram", "vienna", "41000")}
    assert [c.device for c in twins] == ["a", "b", "c", "s1", "s2", "s3", "s4", "s5", "s6"]


def test_tau_2020_3class_names_keep_the_ten_scenes(tmp_path):
    """2020 3-class: labels are indoor, outdoor, transportation; file names still tell city, location and segment."""
    train = [
        ("airport-lisbon-1000-40000-a", "indoor"),
        ("bus-lyon-1001-40001-a", "transportation"),
        ("street_pedestrian-lyon-1003-40003-a", "outdoor"),
    ]
    corpus = read_corpus(edition(tmp_path, train, [("metro_station-lisbon-1007-40007-a", "indoor")]))
    assert corpus.classes == ("indoor", "outdoor", "transportation")
    assert by_id(corpus)["bus-lyon-1001-40001-a"] == ("transportation", "a", "lyon", "lyon-1001", "40001")
    assert corpus.warnings == ()


def splits_2022(root: Path, folder: str) -> Path:
    names = {share: [f"audio/airport-lisbon-1000-4000{i}-0-a.wav" for i in range(share // 5)] for share in (5, 25)}
    test = ["audio/airport-lyon-1001-1-0-a.wav", "audio/airport-lyon-1001-1-1-a.wav"]
    everything = [*names[25], *test, "audio/airport-paris-1-1-0-a.wav"]
    meta = [(n, "airport", "-".join(n.split("-")[1:3]), "a") for n in everything]
    files = {f"{folder}/split{share}.csv": lines("filename", *listed) for share, listed in names.items()}
    files |= {
        "meta.csv": lines(META_HEADER, *meta),
        f"{folder}/test.csv": lines(HEADER, *((n, "airport") for n in test)),
    }
    return write_tree(root, files, everything)


@pytest.mark.parametrize("folder", [".", "evaluation_setup", "split_setup"])
def test_tau_2022_mobile_takes_the_share_that_is_asked_for(tmp_path, folder):
    """DCASE 2024's lists: `split` chooses the training list, test.csv is test, wherever of three places they lie."""
    root = splits_2022(tmp_path, folder)
    for share, n in ((5, 1), (25, 5)):
        corpus = read_corpus(root, CorpusConfig(split=share))
        listed = list(corpus.folds[1].values())
        assert (listed.count("train"), listed.count("test")) == (n, 2)
        assert corpus.n_unlisted == 8 - n - 2
    assert by_id(corpus)["airport-lyon-1001-1-1-a"] == ("airport", "a", "lyon", "lyon-1001", "1-1")


def test_tau_2022_mobile_names_the_choice(tmp_path):
    """Several shares and no choice, or a share that is not there: the message names the option and where it looked."""
    root = splits_2022(tmp_path, "split_setup")
    with pytest.raises(DataError, match=r"split5.csv, split25.csv but no fold: choose one .* prepare.corpus.split=5"):
        read_corpus(root)
    with pytest.raises(DataError, match=r"no split100.csv next to meta.csv, in evaluation_setup/ or in split_setup/"):
        read_corpus(root, CorpusConfig(split=100))
    (root / "split_setup/split5.csv").unlink()
    assert list(read_corpus(root).folds[1].values()).count("train") == 5


def test_lists_of_folds_come_before_shares(tmp_path):
    """With fold1_train.csv beside split25.csv the fold is read, unless the split is asked for."""
    root = splits_2022(tmp_path, "evaluation_setup")
    header = lines(HEADER, ("audio/airport-lisbon-1000-40000-0-a.wav", "airport"))
    write_tree(root, {"evaluation_setup/fold1_train.csv": header})
    assert list(read_corpus(root).folds[1].values()) == ["train"]
    assert list(read_corpus(root, CorpusConfig(split=25)).folds[1].values()).count("train") == 5


def test_a_fold_without_evaluate_list_warns(tmp_path):
    """A training list alone can be prepared, and it is said that nothing can be tested."""
    root = edition(tmp_path, [("park-lyon-1-1-a", "park")], [("park-lyon-2-1-a", "park")])
    for name in ("fold1_evaluate.csv", "fold1_test.csv"):
        (root / "evaluation_setup" / name).unlink()
    corpus = read_corpus(root)
    assert corpus.warnings == (
        "fold 1 has no labelled evaluate list, so no candidate can be tested; prepare.corpus.k_folds=5 makes folds "
        "that each have a test split",
    )


def test_an_unnumbered_test_list_is_the_2019_evaluation_set(tmp_path):
    """evaluation_setup/test.csv of the 2019 evaluation and leaderboard sets: unlabelled clips to predict."""
    names = [f"audio/{i}.wav" for i in range(3)]
    root = write_tree(tmp_path, {"evaluation_setup/test.csv": lines("filename", *names)}, names)
    assert read_corpus(root).folds == {1: {"0": "evaluation", "1": "evaluation", "2": "evaluation"}}
