"""TUT Acoustic Scenes 2016 and 2017: text lists without headers."""

import pytest
from data_prep_support import lines, write_tree

from data_prep.corpora import read_corpus

NAMES_2016 = [f"audio/a00{r}_{s}_{s + 30}.wav" for r in (1, 2, 3) for s in (0, 30)]
LABELS = {1: "beach", 2: "beach", 3: "cafe/restaurant"}


def label(name: str) -> str:
    return LABELS[int(name[9])]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_tut_2016_recordings_are_locations(tmp_path, end, bom):
    """2016: meta.txt of two columns; the recording in the name is the location, the seconds are the segment."""
    labelled = [(name, label(name)) for name in NAMES_2016]
    test = NAMES_2016[2:4]
    files = {
        "meta.txt": bom + lines(*labelled, end=end),
        "error.txt": lines((NAMES_2016[0], "1.0", "2.0", "mobile"), end=end),
        "evaluation_setup/fold1_train.txt": lines(*((n, label(n)) for n in NAMES_2016 if n not in test), end=end),
        "evaluation_setup/fold1_test.txt": lines(*test, end=end),
        "evaluation_setup/fold1_evaluate.txt": lines(*((n, label(n)) for n in test), end=end),
        "evaluation_setup/fold2_train.txt": lines(*((n, label(n)) for n in NAMES_2016 if n not in test), end=end),
        "evaluation_setup/fold2_test.txt": lines(*test, end=end),
    }
    corpus = read_corpus(write_tree(tmp_path, files, NAMES_2016))
    assert (corpus.layout, corpus.classes, corpus.warnings) == ("tut", ("beach", "cafe/restaurant"), ())
    assert list(corpus.folds[1].values()) == ["train"] * 4 + ["test"] * 2
    assert corpus.folds[2] == corpus.folds[1]  # labels of a names-only list come from meta.txt
    clip = next(clip for clip in corpus.clips if clip.clip_id == "a002_30_60")
    assert (clip.scene, clip.location, clip.segment, clip.city, clip.device) == ("beach", "a002", "30_60", None, "a")


def test_tut_2017_identifier_column_is_the_location(tmp_path):
    """2017: the third column of meta.txt names the recording."""
    names = ["audio/b020_90_100.wav", "audio/b021_0_10.wav"]
    files = {
        "meta.txt": lines((names[0], "beach", "b020"), (names[1], "beach", "elsewhere")),
        "evaluation_setup/fold1_train.txt": lines((names[0], "beach")),
        "evaluation_setup/fold1_evaluate.txt": lines((names[1], "beach")),
    }
    corpus = read_corpus(write_tree(tmp_path, files, names))
    assert [clip.location for clip in corpus.clips] == ["b020", "elsewhere"]


def test_tut_evaluation_sets_find_the_recording_through_the_original_name(tmp_path):
    """Renamed files: the original name in evaluate.txt (2016) or map.txt (2017) gives the location back."""
    names = ["audio/1.wav", "audio/2.wav"]
    year_2016 = {
        "evaluation_setup/evaluate.txt": lines(*((n, "beach", f"audio/a00{i}_0_30.wav") for i, n in enumerate(names)))
    }
    year_2017 = {
        "evaluation_setup/evaluate.txt": lines(*((n, "beach") for n in names)),
        "evaluation_setup/map.txt": lines(*((n, f"audio/a00{i}_0_30.wav") for i, n in enumerate(names))),
    }
    for year, files in (("2016", year_2016), ("2017", year_2017)):
        corpus = read_corpus(write_tree(tmp_path / year, files, names))
        assert [(c.location, c.segment) for c in corpus.clips] == [("a000", "0_30"), ("a001", "0_30")]
        assert set(corpus.folds[1].values()) == {"test"}


def test_tut_without_setup_lists_is_cut_into_folds(tmp_path):
    """meta.txt alone: five folds by recording."""
    names = [f"audio/a0{r:02}_{s}_{s + 30}.wav" for r in range(10) for s in (0, 30)]
    corpus = read_corpus(write_tree(tmp_path, {"meta.txt": lines(*((n, "beach") for n in names))}, names))
    assert len(corpus.folds) == 5
    for splits in corpus.folds.values():
        tested = {clip_id[:4] for clip_id, split in splits.items() if split == "test"}
        assert tested.isdisjoint(clip_id[:4] for clip_id, split in splits.items() if split == "train")


def test_tut_lists_of_windows_have_the_same_locations(tmp_path):
    """Backslashes in lists, meta.txt and map.txt: clips, locations and segments as with slashes."""
    names = ["audio/1.wav", "audio/2.wav"]
    mapped = lines(*((n, f"audio/a00{i}_0_30.wav") for i, n in enumerate(names)))
    kinds = {
        "2016": {
            "evaluation_setup/evaluate.txt": lines(
                *((n, "beach", f"audio/a00{i}_0_30.wav") for i, n in enumerate(names))
            )
        },
        "2017": {
            "evaluation_setup/evaluate.txt": lines(*((n, "beach") for n in names)),
            "evaluation_setup/map.txt": mapped,
        },
        "described": {
            "meta.txt": lines(*((n, "beach", f"b02{i}") for i, n in enumerate(names))),
            "evaluation_setup/fold1_evaluate.txt": lines(*((n, "beach") for n in names)),
        },
    }
    for kind, files in kinds.items():
        plain = read_corpus(write_tree(tmp_path / kind, files, names))
        turned = {name: text.replace("/", "\\") for name, text in files.items()}
        assert read_corpus(write_tree(tmp_path / f"windows/{kind}", turned, names)).clips == plain.clips
        assert None not in {clip.location for clip in plain.clips}
