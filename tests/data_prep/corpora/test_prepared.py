"""Every layout all the way to shards."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import soundfile
from data_prep_support import SMALL, lines, write_tree

from data_prep.config import CorpusConfig, PrepareConfig, ReaderSpec
from data_prep.prepare.prepare import prepare
from data_prep.reader.reader import read_split

TAU = [f"audio/{scene}-lyon-{i}-{i}-a.wav" for scene in ("park", "bus") for i in range(6)]
SECONDS = [f"audio/{scene}-lyon-{i}-{i}-0-a.wav" for scene in ("park", "bus") for i in range(6)]
TUT = [f"audio/{'ab'[kind]}00{i}_0_30.wav" for kind in (0, 1) for i in range(6)]
HEADER = ("filename", "scene_label")


def scene(name: str) -> str:
    return {"p": "park", "b": "bus", "a": "beach"}[name[6]]


def is_test(name: str) -> bool:
    return any(mark in name for mark in ("-4-4", "-5-5", "004_", "005_"))


def lists(names: list[str], suffix: str, header: list[tuple[str, str]]) -> dict[str, str]:
    train, test = [n for n in names if not is_test(n)], [n for n in names if is_test(n)]
    return {
        f"evaluation_setup/fold1_{kind}.{suffix}": lines(*header, *((n, scene(n)) for n in chosen))
        for kind, chosen in (("train", train), ("evaluate", test))
    }


LABELLED = {
    "tau": (TAU, lists(TAU, "csv", [HEADER]), CorpusConfig()),
    "tau 2022": (
        SECONDS,
        {
            "meta.csv": lines(HEADER, *((n, scene(n)) for n in SECONDS)),
            "split_setup/split50.csv": lines("filename", *(n for n in SECONDS if not is_test(n))),
            "split_setup/test.csv": lines("filename", *(n for n in SECONDS if is_test(n))),
        },
        CorpusConfig(split=50),
    ),
    "tut": (TUT, lists(TUT, "txt", []), CorpusConfig()),
    "table": (
        TAU,
        {
            "sounds.csv": lines(
                ("path", "label", "split"), *((n, scene(n), "test" if is_test(n) else "train") for n in TAU), sep=","
            )
        },
        CorpusConfig(),
    ),
}


@pytest.mark.parametrize("layout", LABELLED)
def test_a_labelled_layout_becomes_shards(tmp_path, layout):
    """Train, validation and test of each layout are read back from shards with their scenes and locations."""
    names, files, corpus = LABELLED[layout]
    root = write_tree(tmp_path / "data", files)
    for i, name in enumerate(names):
        y = 0.1 * np.random.default_rng(i).standard_normal((16_000, 2))
        (root / name).parent.mkdir(exist_ok=True)
        soundfile.write(root / name, y, 16_000, subtype="PCM_24")
    done = prepare(root, tmp_path / "shards", PrepareConfig(corpus=corpus, features=SMALL))
    assert (done.n_clips, done.manifest.counts[1]) == (12, {"train": 6, "validation": 2, "test": 4})
    test = read_split(tmp_path / "shards", "test", fold=1, reader=ReaderSpec(deltas=0))
    assert Counter(test.clips["scene"]) == Counter(scene(name) for name in names if is_test(name))
    rows = pd.concat([pd.read_parquet(path) for path in (tmp_path / "shards").glob("*.parquet")])
    by_location = rows.groupby("location")["split"].nunique()
    assert len(by_location) >= 6
    assert (by_location == 1).all()


def test_an_evaluation_set_becomes_shards(tmp_path):
    """0.wav … without lists: one split of unlabelled clips."""
    names = [f"audio/{i}.wav" for i in range(5)]
    root = write_tree(tmp_path / "data", {})
    (root / "audio").mkdir(parents=True)
    for i, name in enumerate(names):
        soundfile.write(root / name, 0.1 * np.random.default_rng(i).standard_normal(8000), 8000)
    done = prepare(root, tmp_path / "shards", PrepareConfig(features=SMALL))
    assert done.manifest.counts == {1: {"evaluation": 5}}
    assert set(read_split(tmp_path / "shards", "evaluation", fold=1, reader=ReaderSpec(deltas=0)).labels) == {-1}
