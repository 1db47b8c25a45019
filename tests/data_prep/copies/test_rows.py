"""Augmented copies: of which clips, in which folds, and byte for byte the same however they are made."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from data_prep_support import SMALL, contents, scene_rows, write_lists
from hypothesis import given
from hypothesis import strategies as st

from data_prep.audio.decode import read_clip
from data_prep.config import OfflineSpec, PrepareConfig, QuarantineSpec, ReaderSpec
from data_prep.copies.correction import parse_correction
from data_prep.copies.rows import copy_rows, folds_of_copy, training_folds
from data_prep.copies.waveforms import augmented, stream
from data_prep.corpora.corpus import Clip
from data_prep.errors import ConfigError, DataError
from data_prep.features.log_mel import LogMel
from data_prep.prepare.extract import Copying, Source, Task, extract_task
from data_prep.prepare.prepare import prepare
from data_prep.reader.reader import read_split
from data_prep.shards.manifest import Copies, read_manifest

SEEDS = ("spectrum_correction", "pitch_shift", "speed_change", "mix")


@pytest.fixture
def all_four(small_config) -> PrepareConfig:
    return small_config.updated(augmentations=SEEDS)


def test_training_gets_one_more_copy_of_each_kind(make_corpus, all_four, tmp_path):
    """All four of the paper's copies: one per training clip (of device a's alone for the correction), train alone."""
    done = prepare(make_corpus(), tmp_path, all_four)
    counts = {made.augmentation: made.n_copies for made in done.manifest.copies}
    assert counts == {"spectrum_correction": 6, "pitch_shift": 12, "speed_change": 12, "mix": 12}
    assert done.manifest.counts == {1: {"train": 12 + 42, "validation": 4, "test": 8}}
    assert done.manifest.offline == OfflineSpec()
    train = read_split(tmp_path, "train", fold=1, reader=ReaderSpec())
    assert train.n_clips == 54
    frame = pd.concat(pd.read_parquet(path) for path in tmp_path.glob("*.parquet"))
    assert set(frame.loc[frame["augmentation"] != "none", "split"]) == {"train"}
    recorded = frame[frame["augmentation"] == "none"].set_index("clip_id")
    copies = frame[frame["augmentation"] != "none"]
    assert set(recorded.loc[copies["source_clip_id"], "split"]) == {"train"}
    assert (recorded.loc[copies["source_clip_id"], "scene"].to_numpy() == copies["scene"].to_numpy()).all()


def test_copies_are_what_their_functions_give(make_corpus, all_four, tmp_path):
    """Stored copies are the log-mels of the augmented waveforms, drawn from (seed, clip, augmentation) alone."""
    root = make_corpus()
    manifest = prepare(root, tmp_path, all_four).manifest
    frame = pd.concat(pd.read_parquet(path) for path in tmp_path.glob("*.parquet")).set_index("clip_id")
    file = tmp_path / "spectrum_correction-fold1.csv"
    gain = parse_correction(file.read_text(), str(file)).combined
    extract = LogMel(SMALL)
    for clip_id, sources in manifest.sources.items():
        row = frame.loc[clip_id]
        waveforms = [read_clip(root / frame.loc[source, "filename"], SMALL) for source in sources]
        if row["augmentation"] == "spectrum_correction":
            expected = extract(waveforms[0], gain=gain)
        else:
            rng = stream(0, sources[0], row["augmentation"])
            partner = waveforms[1] if len(waveforms) == 2 else None
            expected = extract(augmented(row["augmentation"], waveforms[0], SMALL, OfflineSpec(), rng, partner=partner))
        stored = np.frombuffer(row["log_mel"], dtype="<f2").reshape(row["n_mels"], row["n_frames"])
        np.testing.assert_array_equal(stored, expected.astype(np.float16))


@pytest.mark.system
def test_copies_are_the_same_bytes_on_any_workers(make_corpus, all_four, tmp_path):
    """One process, two, and a second call after one kind's shards were lost give the same bytes."""
    root = make_corpus()
    prepare(root, tmp_path / "one", all_four)
    prepare(root, tmp_path / "two", all_four, n_workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    for path in (tmp_path / "one").glob("mix-*.parquet"):
        path.unlink()
    again = prepare(root, tmp_path / "one", all_four)
    assert again.made == {"damaged": 12}
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_switching_one_kind_off_leaves_the_others(make_corpus, all_four, tmp_path):
    """Without pitch shift its shards go, nothing is computed, and the result is a fresh call's."""
    root = make_corpus()
    prepare(root, tmp_path / "s", all_four)
    fewer = all_four.updated(augmentations=("speed_change", "mix"))
    done = prepare(root, tmp_path / "s", fewer)
    assert done.n_computed == 0
    prepare(root, tmp_path / "fresh", fewer)
    assert contents(tmp_path / "s") == contents(tmp_path / "fresh")
    assert not list((tmp_path / "s").glob("pitch_shift*"))


def test_other_settings_make_only_the_copies_again(make_corpus, all_four, tmp_path):
    """Another seed or range draws the copies anew and keeps the clips as recorded."""
    root = make_corpus()
    first = prepare(root, tmp_path, all_four)
    changed = prepare(root, tmp_path, all_four.updated(offline=OfflineSpec(seed=1)))
    assert changed.made == {"changed": 36}  # the correction draws nothing
    assert changed.manifest.hash() != first.manifest.hash()


def test_copies_of_clips_put_aside_are_not_made(make_corpus, all_four, tmp_path):
    """A clip that can't be read has no copy, and is nobody's partner or pair."""
    root = make_corpus()
    bad = next(row for row in scene_rows() if row.listed == "train" and row.device == "a")
    (root / bad.filename).write_text("not audio")
    done = prepare(root, tmp_path, all_four.updated(quarantine=QuarantineSpec(max_share=0.1)))
    clip_id = Path(bad.filename).stem
    assert not any(clip_id in sources for sources in done.manifest.sources.values())
    assert len(done.manifest.sources) < 42  # it was a training clip, not one of validation


def test_correction_without_pairs_is_an_error(make_corpus, all_four, tmp_path):
    """Asked for on one device alone, spectrum correction says what it needs and the way out."""
    with pytest.raises(DataError, match="needs moments that device a and another device both recorded"):
        prepare(make_corpus(scene_rows(devices=("a",))), tmp_path, all_four)


def test_device_responses_need_their_folder(make_corpus, small_config, tmp_path):
    """Without a folder it is refused before anything is read; with one, copies are made; a changed file makes anew."""
    config = small_config.updated(augmentations=("device_response",))
    with pytest.raises(ConfigError, match="none is given"):
        prepare(make_corpus(), tmp_path / "s", config)
    folder = tmp_path / "responses"
    folder.mkdir()
    soundfile.write(folder / "radio.wav", np.exp(-np.arange(64) / 8.0), 8000)
    config = config.updated(offline=OfflineSpec(responses=str(folder)))
    root = make_corpus()
    done = prepare(root, tmp_path / "s", config)
    assert done.manifest.copies == (Copies(augmentation="device_response", n_copies=12),)
    assert str(folder) not in (tmp_path / "s" / "manifest.json").read_text()
    soundfile.write(folder / "radio.wav", np.exp(-np.arange(128) / 4.0), 8000)
    assert prepare(root, tmp_path / "s", config).made == {"changed": 12}


@pytest.mark.parametrize(
    ("name", "data", "rule"),
    [
        ("phone.mp3", b"", "responses: contains no impulse responses"),
        ("phone.wav", b"damaged", r"phone\.wav: cannot be decoded"),
        ("phone.wav", None, r"phone\.wav: is silent"),
    ],
)
def test_unusable_device_responses_are_an_error_before_anything_is_computed(
    make_corpus, small_config, tmp_path, name, data, rule
):
    """One silent or damaged response, or a folder of other formats: the message names it, and no copy is lost to it."""
    folder = tmp_path / "responses"
    folder.mkdir()
    if name.endswith(".wav"):
        soundfile.write(folder / "a_good_one.wav", np.exp(-np.arange(64) / 8.0), 8000)
    if data is None:
        soundfile.write(folder / name, np.zeros(64), 8000)
    else:
        (folder / name).write_bytes(data)
    offline = OfflineSpec(responses=str(folder))
    with pytest.raises(DataError, match=rule):
        prepare(
            make_corpus(), tmp_path / "s", small_config.updated(augmentations=("device_response",), offline=offline)
        )
    assert not (tmp_path / "s").exists()


def test_responses_lost_during_the_call_are_not_the_clips_fault(make_corpus, tmp_path):
    """A worker that can't read the responses raises their error; it does not put the clip aside."""
    path = make_corpus() / scene_rows()[0].filename
    copying = Copying("device_response", OfflineSpec(), responses=tmp_path / "gone")
    with pytest.raises(DataError, match="gone: contains no impulse responses"):
        extract_task(Task((Source(path, path.stem),), SMALL, copying))


def test_every_fold_has_copies_of_its_own_training(make_corpus, all_four, tmp_path):
    """With two folds, a copy belongs to the folds that train on all its clips; a corrected one to its own fold."""
    root = make_corpus()
    rows = scene_rows()
    swapped = [
        type(r)(r.filename, r.scene, "evaluate" if i % 3 == 0 else "train", r.identifier, r.device)
        for i, r in enumerate(rows[::2])
        for r in (r, rows[rows.index(r) + 1])
    ]
    write_lists(root, swapped, fold=2, meta=False)
    prepare(root, tmp_path, all_four)
    manifest = read_manifest(tmp_path)  # which checks every copy against its sources
    for fold, splits in manifest.folds.items():
        kinds = {clip_id.partition("+")[2] for clip_id in splits if "+" in clip_id}
        assert kinds == {f"spectrum_correction@{fold}", "pitch_shift", "speed_change", "mix"}
    assert {path.name for path in tmp_path.glob("*.csv")} == {
        *("quarantine.csv", "spectrum_correction-fold1.csv", "spectrum_correction-fold2.csv")
    }


def test_a_fold_that_comes_later_makes_corrected_copies_anew(make_corpus, all_four, tmp_path):
    """Corrected copies of one fold are named otherwise once there are two: shards and manifest agree all the same."""
    root = make_corpus()
    prepare(root, tmp_path / "s", all_four)
    write_lists(root, scene_rows(), fold=2, meta=False)
    done = prepare(root, tmp_path / "s", all_four)
    for fold in (1, 2):
        train = read_split(tmp_path / "s", "train", fold=fold, reader=ReaderSpec())
        assert train.n_clips == done.manifest.counts[fold]["train"]
    prepare(root, tmp_path / "fresh", all_four)
    assert contents(tmp_path / "s") == contents(tmp_path / "fresh")


splits = st.sampled_from(["train", "validation", "test"])


@given(st.lists(st.tuples(splits, splits, st.sampled_from("ab"), st.sampled_from("xy")), min_size=1, max_size=12))
def test_no_copy_comes_from_outside_training(table):
    """Whatever the folds are, every copy's clips are training clips of all folds it is in; partners share the scene."""
    clips = [Clip(str(i), f"{i}.wav", scene, device, None, None, None) for i, (*_, device, scene) in enumerate(table)]
    folds = {k: {str(i): row[k - 1] for i, row in enumerate(table)} for k in (1, 2)}
    training = training_folds(folds)
    for kind, clip in itertools.product(SEEDS, clips):
        for row in copy_rows(kind, clips, folds, seed=0):
            places = folds_of_copy(row, training)
            assert places
            assert all(folds[fold][part.clip_id] == "train" for fold in places for part in row.clips)
            assert {part.scene for part in row.clips} == {row.source.scene}
            assert len(set(row.clips)) == len(row.clips)
            assert row.source != clip or row.fold is not None or places == training[clip.clip_id]
