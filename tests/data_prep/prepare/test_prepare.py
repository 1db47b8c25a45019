"""From audio to shards: what is stored, kept and reported."""

import contextlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_prep_support import SMALL, Row, contents, scene_rows, write_lists, write_tree

from data_prep.audio.decode import read_clip
from data_prep.config import PrepareConfig, ReaderSpec, ValidationSpec
from data_prep.errors import AscError, DataError
from data_prep.features.log_mel import LogMel
from data_prep.prepare.prepare import prepare
from data_prep.reader.reader import read_split, read_splits
from data_prep.shards.manifest import read_manifest

N_CLIPS = len(scene_rows())


def test_shards_hold_each_clips_log_mel_unscaled(make_corpus, small_config, tmp_path):
    """What is read of a split is the float16 log-mel of each clip's file, with its label and its descriptions."""
    root = make_corpus()
    prepare(root, tmp_path / "shards", small_config)
    clips = read_split(tmp_path / "shards", "train", fold=1, reader=ReaderSpec())
    extract = LogMel(SMALL)
    for i, row in clips.clips.iterrows():
        np.testing.assert_array_equal(
            clips.log_mel[i], extract(read_clip(root / row.filename, SMALL)).astype(np.float16)
        )
        assert clips.classes[clips.labels[i]] == row.scene == row.clip_id.split("-")[0]


def test_every_listed_clip_is_in_one_split(make_corpus, small_config, tmp_path):
    """Train, validation and test together are the lists; validation is 20 % of each scene's training locations."""
    done = prepare(make_corpus(), tmp_path, small_config)
    assert done.n_clips == done.n_computed == N_CLIPS
    assert done.n_reused == 0
    assert done.manifest.counts == {1: {"train": 12, "validation": 4, "test": 8}}
    assert [shard.rows for shard in done.manifest.shards] == [5, 5, 5, 5, 4]
    assert done.warnings == ()


def test_progress_counts_up_to_all_clips(make_corpus, small_config, tmp_path):
    """Progress never goes back, and ends at all of all; a second call goes there at once."""
    calls: list[tuple[int, int]] = []
    root = make_corpus()
    prepare(root, tmp_path / "s", small_config, on_progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[0] == (0, N_CLIPS)
    assert calls[-1] == (N_CLIPS, N_CLIPS)
    calls.clear()
    prepare(root, tmp_path / "s", small_config, on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(0, N_CLIPS), (N_CLIPS, N_CLIPS)]


@pytest.mark.system
def test_more_workers_write_the_same_bytes(make_corpus, small_config, tmp_path):
    """Two spawned processes, or an executor of the caller's, give byte for byte what one process gives."""
    root = make_corpus()
    prepare(root, tmp_path / "one", small_config)
    prepare(root, tmp_path / "two", small_config, n_workers=2)
    with ThreadPoolExecutor(1) as executor:
        prepare(root, tmp_path / "own", small_config, executor=executor)
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "own")


class Elsewhere:
    """An executor whose workers run in another folder, as those of a cluster."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def map(self, function, items):
        for item in items:
            with contextlib.chdir(self._folder):
                result = function(item)
            yield result


def test_relative_folders_are_read_by_workers_that_run_elsewhere(make_corpus, small_config, tmp_path, monkeypatch):
    """Relative names of the data set and the responses give the shards, and the hash, of a call in this process."""
    root, responses, elsewhere = make_corpus(), tmp_path / "responses", tmp_path / "elsewhere"
    for folder in (responses, elsewhere):
        folder.mkdir()
    soundfile.write(responses / "radio.wav", np.exp(-np.arange(64) / 8.0), 8000)
    monkeypatch.chdir(tmp_path)
    config = small_config.updated(augmentations=("device_response",), offline={"responses": responses.name})
    prepare(Path(root.name), tmp_path / "far", config, executor=Elsewhere(elsewhere))
    prepare(Path(root.name), tmp_path / "near", config)
    assert contents(tmp_path / "far") == contents(tmp_path / "near")
    assert prepare(root, tmp_path / "near", config).n_computed == 0


def test_the_data_is_the_same_wherever_it_lies(make_corpus, small_config, tmp_path):
    """A moved data set in another folder of shards has the same manifest hash: no path and no time is in it."""
    root = make_corpus()
    first = prepare(root, tmp_path / "one", small_config)
    shutil.copytree(root, tmp_path / "elsewhere" / "renamed")
    second = prepare(tmp_path / "elsewhere" / "renamed", tmp_path / "two", small_config)
    assert first.manifest.hash() == second.manifest.hash()
    for path in (p for p in (tmp_path / "one").rglob("*") if p.is_file()):
        assert str(tmp_path).encode() not in path.read_bytes()


def test_a_folder_whose_name_is_not_utf8_is_prepared(make_corpus, small_config, tmp_path):
    """The manifest has the name of the data set, and of a list in a warning, with escapes."""
    root = make_corpus().rename(tmp_path / os.fsdecode(b"caf\xe9"))
    lists = root / "evaluation_setup/fold1_train.csv"
    lists.write_text(lists.read_text() + lists.read_text().splitlines()[-1] + "\n")
    prepare(root, tmp_path / "shards", small_config)
    manifest = read_manifest(tmp_path / "shards")
    assert manifest.name == r"caf\udce9"
    assert r"caf\udce9/evaluation_setup/fold1_train.csv, line 18: " in manifest.warnings[0]


def test_only_shards_whose_audio_changed_are_made_again(make_corpus, small_config, tmp_path):
    """A second call computes nothing; after one file changed, one shard; the result is that of a fresh call."""
    root, shards = make_corpus(), tmp_path / "shards"
    prepare(root, shards, small_config)
    before = contents(shards)
    again = prepare(root, shards, small_config)
    assert (again.n_computed, again.n_reused) == (0, N_CLIPS)
    assert contents(shards) == before
    soundfile.write(root / scene_rows()[0].filename, np.sin(np.arange(8000)), 8000)
    third = prepare(root, shards, small_config)
    assert (third.n_computed, third.n_reused) == (5, N_CLIPS - 5)
    prepare(root, tmp_path / "fresh", small_config)
    assert contents(shards) == contents(tmp_path / "fresh") != before


def test_another_cut_needs_no_audio(make_corpus, small_config, tmp_path):
    """Another validation seed reads no audio, and gives byte for byte what a fresh call would."""
    root, shards = make_corpus(), tmp_path / "shards"
    first = prepare(root, shards, small_config)
    other = small_config.updated(validation=ValidationSpec(seed=1))
    second = prepare(root, shards, other)
    assert second.n_computed == 0
    assert second.manifest.folds != first.manifest.folds
    prepare(root, tmp_path / "fresh", other)
    assert contents(shards) == contents(tmp_path / "fresh")


def test_another_feature_is_computed_anew_and_strays_go(make_corpus, small_config, tmp_path):
    """Another spec in the same folder computes all again, says so, and leaves no shard of before behind."""
    root, shards = make_corpus(), tmp_path / "shards"
    first = prepare(root, shards, small_config)
    (shards / ".shard-00001.parquet.77.tmp").write_text("left by a killed writer")
    other = PrepareConfig(features=SMALL.updated(n_mels=12), clips_per_shard=20)
    second = prepare(root, shards, other)
    assert second.n_computed == N_CLIPS
    assert second.manifest.hash() != first.manifest.hash()
    prepare(root, tmp_path / "fresh", other)
    assert contents(shards) == contents(tmp_path / "fresh")
    assert not list(shards.glob("**/*.tmp"))


def test_shards_of_another_format_version_are_replaced(make_corpus, small_config, tmp_path):
    """A reader refuses shards of another version; `prepare` into their folder makes them good."""
    root, shards = make_corpus(), tmp_path / "shards"
    prepare(root, shards, small_config)
    data = json.loads((shards / "manifest.json").read_text())
    (shards / "manifest.json").write_text(json.dumps({**data, "format_version": 0}))
    with pytest.raises(DataError, match="format version 0"):
        read_manifest(shards)
    prepare(root, shards, small_config)
    assert read_manifest(shards).format_version == data["format_version"]


def test_damaged_and_lost_shards_are_made_again(make_corpus, small_config, tmp_path):
    """A flipped byte and a lost file are found by the next call, which computes those two shards alone."""
    root, shards = make_corpus(), tmp_path / "shards"
    prepare(root, shards, small_config)
    before = contents(shards)
    damaged = shards / "shard-00001.parquet"
    data = bytearray(damaged.read_bytes())
    data[500] ^= 1
    damaged.write_bytes(data)
    (shards / "shard-00003.parquet").unlink()
    again = prepare(root, shards, small_config)
    assert again.n_computed == 10
    assert contents(shards) == before


def test_two_at_once_in_one_folder_are_refused(make_corpus, small_config, tmp_path):
    """While one call works in a folder, another is told so and changes nothing."""
    root, shards = make_corpus(), tmp_path / "shards"
    refused: list[str] = []

    def start_another(done: int, total: int) -> None:
        if done == total:
            with pytest.raises(DataError) as caught:
                prepare(root, shards, small_config)
            refused.append(str(caught.value))

    prepare(root, shards, small_config, on_progress=start_another)
    assert len(refused) == 1
    assert "another process is preparing into this folder" in refused[0]
    assert prepare(root, shards, small_config).n_computed == 0


def test_missing_files_are_a_warning_in_result_and_manifest(make_corpus, small_config, tmp_path):
    """Listed files not on disk, up to a share, are counted and named, in what comes back and in the manifest."""
    root = make_corpus()
    gone = [row.filename for row in scene_rows() if row.listed == "evaluate"][:5]
    for name in gone:
        (root / name).unlink()
    with pytest.raises(DataError, match=r"5 of 24 listed files are not on disk \(20.8%\).*max_missing_share=0.21"):
        prepare(root, tmp_path / "shards", small_config)
    assert not (tmp_path / "shards").exists()
    done = prepare(root, tmp_path / "shards", small_config.updated(quarantine={"max_missing_share": 0.21}))
    assert done.warnings[0] == f"5 of 24 listed files are not on disk: {', '.join(gone[:3])} and 2 more"
    assert read_manifest(tmp_path / "shards").missing == tuple(gone)
    assert read_manifest(tmp_path / "shards").warnings == done.warnings


def test_a_scene_that_lost_its_training_is_an_error(make_corpus, small_config, tmp_path):
    """Held-out devices that leave a scene nothing to learn from are refused, with the scene's name."""
    rows = [*scene_rows(), Row("audio/tram-lisbon-900-0-b.wav", "tram", "train", "lisbon-900", "b")]
    config = small_config.updated(validation=ValidationSpec(holdout_devices=("b",)))
    with pytest.raises(DataError, match="fold 1 has no training clip of scene 'tram' without missing"):
        prepare(make_corpus(rows), tmp_path / "shards", config)
    done = prepare(make_corpus(), tmp_path / "other", config)
    assert {i for i, split in done.manifest.folds[1].items() if split == "train" and i.endswith("-b")} == set()
    assert done.n_clips == N_CLIPS  # stored all the same: another cut needs no audio


def test_a_held_out_device_is_never_trained_on(make_corpus, small_config, tmp_path):
    """It is compared on, and where validation is trained on, too, it is left out of that, and only it."""
    prepare(make_corpus(), tmp_path, small_config.updated(validation=ValidationSpec(holdout_devices=("b",))))
    validation = read_split(tmp_path, "validation", fold=1, reader=ReaderSpec()).clips
    together = read_splits(tmp_path, ["train", "validation"], fold=1, reader=ReaderSpec())
    train = read_split(tmp_path, "train", fold=1, reader=ReaderSpec()).clips
    assert "b" in set(validation["device"])
    wanted = {*train["clip_id"], *validation["clip_id"][validation["device"] != "b"]}
    assert set(together.clips["clip_id"]) == wanted
    assert "b" not in set(together.clips["device"])
    assert len(together.log_mel) == len(together.labels) == len(wanted)


def test_gaps_and_leaks_in_the_lists_are_told(make_corpus, small_config, tmp_path):
    """A scene with a single training location has no validation; a location in train and test is refused, or told."""
    rows = [
        *scene_rows(),
        Row("audio/tram-lisbon-900-0-a.wav", "tram", "train", "lisbon-900"),
        Row("audio/tram-lisbon-900-1-a.wav", "tram", "evaluate", "lisbon-900"),
    ]
    root = make_corpus(rows)
    with pytest.raises(DataError, match=r"fold1_evaluate\.csv, line 10: .* is from location lisbon-900, and so is"):
        prepare(root, tmp_path / "shards", small_config)
    accepting = small_config.updated(corpus={"shared_locations": "warn"})
    warnings = prepare(root, tmp_path / "shards", accepting).warnings
    assert "fold 1: scenes with a single training location have no validation clip: tram" in warnings
    assert "fold 1: 1 locations are in train and in test: lisbon-900" in warnings


def test_an_unlabelled_list_alone_is_prepared(tmp_path, small_config):
    """A challenge's evaluation set (names only, nothing to train on) becomes the split `evaluation`."""
    rows = [Row(f"audio/{i}.wav", "", "", "") for i in range(3)]
    root = tmp_path / "evaluation"
    (root / "evaluation_setup").mkdir(parents=True)
    (root / "evaluation_setup/fold1_test.csv").write_text("\n".join(["filename", *(r.filename for r in rows)]))
    from data_prep_support import write_audio

    write_audio(root, rows)
    prepare(root, tmp_path / "shards", small_config)
    clips = read_split(tmp_path / "shards", "evaluation", fold=1, reader=ReaderSpec())
    assert clips.clips["clip_id"].tolist() == ["0", "1", "2"]
    assert clips.labels.tolist() == [-1, -1, -1]


def test_the_manifest_names_what_an_evaluation_list_lost(tmp_path, small_config):
    """Clips of an evaluation list that are not on disk or can't be read are named, fold by fold; others are not."""
    rows = {f"{i}.wav": "evaluation" if i < 4 else "train" for i in range(10)}
    labels = ("bus", "tram")
    table = ["\t".join(["file", "label", "split"])]
    table += [
        "\t".join([name, labels[int(name[0]) % 2] if split == "train" else "", split]) for name, split in rows.items()
    ]
    audio = [name for name in rows if name not in ("1.wav", "5.wav")]
    root = write_tree(tmp_path / "data", {"list.tsv": "\n".join(table) + "\n"}, audio)
    for name in ("2.wav", "6.wav"):
        (root / name).write_bytes(b"no recording")
    config = small_config.updated(
        corpus={"layout": "table"},
        quarantine={"max_share": 0.5, "max_missing_share": 0.5, "length_tolerance": 100},
        validation={"fraction": 0.3},
    )
    prepare(root, tmp_path / "shards", config)
    manifest = read_manifest(tmp_path / "shards")
    assert set(manifest.missing) == {"1.wav", "5.wav"}
    assert {entry.filename for entry in manifest.quarantine} == {"2.wav", "6.wav"}
    assert manifest.lost_evaluation == {1: ("1.wav", "2.wav")}


def test_lists_may_change_without_new_audio(make_corpus, small_config, tmp_path):
    """A second fold over the same clips reuses every shard; the manifest has both folds."""
    root, shards = make_corpus(), tmp_path / "shards"
    prepare(root, shards, small_config)
    swapped = [Row(r.filename, r.scene, "evaluate" if r.listed == "train" else "train", "") for r in scene_rows()]
    write_lists(root, swapped, fold=2, meta=False)
    done = prepare(root, shards, small_config)
    assert done.n_computed == 0
    assert sorted(done.manifest.folds) == [1, 2]
    assert done.manifest.counts[2] == {"train": 4, "validation": 4, "test": 16}


def test_a_folder_that_cannot_be_made_is_named(make_corpus, small_config, tmp_path):
    """A file where the shards should go is an expected failure that names it."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(AscError, match="taken: cannot be written: File exists"):
        prepare(make_corpus(), tmp_path / "taken", small_config)
