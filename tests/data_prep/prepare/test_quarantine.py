"""Clips that cannot be used are put aside with the reason; silent ones are flagged; too many stop the stage."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from data_prep_support import SMALL, Row, contents, lines, scene_rows, write_tree

from data_prep.config import QuarantineSpec, ReaderSpec
from data_prep.errors import DataError
from data_prep.prepare.extract import extract, extract_waveform
from data_prep.prepare.prepare import prepare
from data_prep.reader.reader import read_split

N_CLIPS = len(scene_rows())


def test_silent_clips_are_kept_and_flagged(make_corpus, small_config, tmp_path):
    """Digital silence and a constant voltage are stored, flagged and zeros as input; the warning names them."""
    root = make_corpus()
    names = [row.filename for row in scene_rows() if row.listed == "train" and row.device == "a"][:2]
    for name, value in zip(names, (0.0, 0.25), strict=True):
        soundfile.write(root / name, np.full(8000, value), 8000)
    done = prepare(root, tmp_path / "shards", small_config)
    ids = tuple(Path(name).stem for name in names)
    assert done.manifest.silent == ids
    assert done.warnings[0].startswith(f"2 clips are silent, and zeros after scaling: {ids[0]}, {ids[1]}")
    for split in ("train", "validation"):
        clips = read_split(tmp_path / "shards", split, fold=1, reader=ReaderSpec())
        silent = clips.clips["clip_id"].isin(ids).to_numpy()
        inputs = clips.inputs(slice(None))
        assert not inputs[silent].any()
        assert inputs[~silent].any(axis=(1, 2, 3)).all()


def test_corrupt_files_are_quarantined_and_the_run_goes_on(make_corpus, small_config, tmp_path):
    """A corrupt file is in no split, but in the quarantine with the reason; a mended one is taken up again."""
    root, shards = make_corpus(), tmp_path / "shards"
    small_config = small_config.updated(quarantine=QuarantineSpec(max_share=0.05))
    bad = scene_rows()[1].filename
    good = (root / bad).read_bytes()
    (root / bad).write_text("not audio")
    done = prepare(root, shards, small_config)
    assert done.n_clips == N_CLIPS - 1
    (entry,) = done.manifest.quarantine
    assert (entry.filename, entry.clip_id) == (bad, Path(bad).stem)
    assert entry.reason.startswith("cannot be decoded: Format not recognised")
    assert entry.clip_id not in done.manifest.folds[1]
    assert f"1 clip is left out, see quarantine.csv: {bad}" in done.warnings[0]
    table = pd.read_csv(shards / "quarantine.csv")
    assert table[["filename", "fault", "action"]].to_numpy().tolist() == [[bad, "unreadable", "left out"]]
    assert prepare(root, shards, small_config).manifest == done.manifest
    (root / bad).write_bytes(good)
    assert prepare(root, shards, small_config).n_clips == N_CLIPS


def test_too_many_unusable_clips_stop_the_stage(make_corpus, small_config, tmp_path):
    """With more than the allowed share put aside, prepare stops, names them, keeps the table, writes no manifest."""
    root, shards = make_corpus(), tmp_path / "shards"
    for row in scene_rows()[:2]:
        (root / row.filename).write_text("not audio")
    first = scene_rows()[0].filename
    with pytest.raises(
        DataError, match=rf"2 of 24 clips cannot be used \(8.3%\); at most 0.01 are allowed. {first}"
    ) as e:
        prepare(root, shards, small_config)
    assert "--set prepare.quarantine.max_share=0.09" in str(e.value)
    assert len(pd.read_csv(shards / "quarantine.csv")) == 2
    assert not (shards / "manifest.json").exists()
    done = prepare(root, shards, small_config.updated(quarantine=QuarantineSpec(max_share=0.09)))
    assert (done.n_clips, done.n_computed) == (N_CLIPS - 2, 0)


def test_where_every_clip_fails_the_reason_is_said_and_not_an_empty_set_offered(make_corpus, small_config, tmp_path):
    """All headers never closed: the one reason, with its way out, and no share that would leave no clip."""
    root = make_corpus()
    for row in scene_rows():
        data = (root / row.filename).read_bytes()
        (root / row.filename).write_bytes(data[:4] + bytes(4) + data[8:40] + bytes(4) + data[44:])
    with pytest.raises(DataError, match=r"24 of 24 clips cannot be used .* All fail for the same reason") as e:
        prepare(root, tmp_path / "shards", small_config)
    assert "unfinished header: it declares no audio, but 16,000 bytes of audio follow" in str(e.value)
    assert "max_share" not in str(e.value)


def test_recordings_with_slips_in_their_headers_are_used_and_counted(make_corpus, small_config, tmp_path):
    """Wrong bytes per second in every header: the features are those of right headers; one warning counts the clips."""
    root = make_corpus()
    right = prepare(root, tmp_path / "right", small_config).manifest
    for row in scene_rows():
        data = (root / row.filename).read_bytes()
        (root / row.filename).write_bytes(data[:28] + bytes(4) + data[32:])
    done = prepare(root, tmp_path / "shards", small_config)
    assert done.manifest.shards == right.shards
    assert done.warnings[0].startswith(
        "24 clips are read although the header declares a wrong number of bytes per second"
    )
    assert prepare(root, tmp_path / "shards", small_config).warnings == done.warnings


def test_features_that_are_not_finite_are_put_aside(tmp_path):
    """Samples that overflow in the features are a fault of the recording, not infinities in the shards."""
    y = np.zeros(8000, np.float32)
    y[100] = 1e9
    soundfile.write(tmp_path / "loud.wav", y, 8000, subtype="FLOAT")
    spec = SMALL.updated(log_offset=1e-8, preemphasis=0.0)
    assert np.isfinite(extract(tmp_path / "loud.wav", spec).log_mel).all()
    y[100] = 1e20
    soundfile.write(tmp_path / "loud.wav", y, 8000, subtype="FLOAT")
    found = extract(tmp_path / "loud.wav", spec)
    assert (found.log_mel, found.fault) == (None, "unreadable")
    assert "1e+20" in found.reason
    with pytest.raises(DataError, match=r"has no finite log-mel; its largest sample is 1e\+20"):
        extract_waveform(y, spec)


def rewritten(path: Path, data: bytes) -> None:
    """Replace a file's bytes, of the same number, and keep its time: what a passing read error looks like."""
    status = path.stat()
    assert len(data) == status.st_size
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_failure_to_read_that_has_passed_is_forgotten(make_corpus, small_config, tmp_path):
    """A file with the same size and time that can be read again is used again, in one shard that is made again."""
    root, shards = make_corpus(), tmp_path / "shards"
    config = small_config.updated(quarantine=QuarantineSpec(max_share=0.05))
    bad = root / scene_rows()[1].filename
    good = bad.read_bytes()
    rewritten(bad, bytes(len(good)))
    assert prepare(root, shards, config).n_clips == N_CLIPS - 1
    before = contents(shards)
    assert prepare(root, shards, config).n_computed == 0
    assert contents(shards) == before
    rewritten(bad, good)
    done = prepare(root, shards, config)
    assert (done.n_clips, done.manifest.quarantine, done.made) == (N_CLIPS, (), {"changed": 5})
    prepare(root, tmp_path / "fresh", config)
    assert contents(shards) == contents(tmp_path / "fresh")


def test_copies_that_a_passing_failure_lost_are_made_later(make_corpus, small_config, tmp_path):
    """A recording that can't be read while its copies are made costs them in this call only."""
    root, shards = make_corpus(), tmp_path / "shards"
    prepare(root, shards, small_config)
    config = small_config.updated(augmentations=("mix",))
    bad = root / next(row.filename for row in scene_rows() if row.listed == "train")
    good = bad.read_bytes()
    rewritten(bad, bytes(len(good)))
    lost = prepare(root, shards, config)
    assert "missing, as a recording could not be read again" in " ".join(lost.warnings)
    rewritten(bad, good)
    prepare(root, shards, config)
    prepare(root, tmp_path / "fresh", config)
    assert contents(shards) == contents(tmp_path / "fresh")


def test_strict_stops_at_the_first(make_corpus, small_config, tmp_path):
    """Where no clip may be put aside, the first that must be ends the call, also when an earlier call found it."""
    root, shards = make_corpus(), tmp_path / "shards"
    bad = scene_rows()[1].filename
    (root / bad).write_text("not audio")
    strict = small_config.updated(quarantine=QuarantineSpec(strict=True))
    with pytest.raises(DataError, match=rf"{bad}: cannot be decoded"):
        prepare(root, shards, strict)
    prepare(root, shards, small_config.updated(quarantine=QuarantineSpec(max_share=1.0)))
    with pytest.raises(DataError, match=r"none is allowed \(strict\)"):
        prepare(root, shards, strict)


def test_second_names_of_one_recording_are_left_out(make_corpus, small_config, tmp_path):
    """Of equal recordings one stays, the test list's if it has one; on request all stay."""
    root, shards = make_corpus(), tmp_path / "shards"
    rows = scene_rows()
    train = next(r for r in rows if r.listed == "train" and r.device == "b")
    test = next(r for r in rows if r.listed == "evaluate" and r.scene == train.scene)
    shutil.copy(root / test.filename, root / train.filename)
    loose = small_config.updated(quarantine=QuarantineSpec(max_share=0.05))
    done = prepare(root, shards, loose)
    (entry,) = done.manifest.quarantine
    assert (entry.filename, entry.fault) == (train.filename, "duplicate")
    assert f"contains the same recording as {test.filename}" in entry.reason
    assert entry.clip_id not in done.manifest.folds[1]
    frame = pd.concat(pd.read_parquet(path) for path in shards.glob("shard-*.parquet"))
    assert frame.set_index("clip_id")["split"].isna().to_dict()[entry.clip_id]
    again = prepare(root, shards, loose)
    assert (again.n_computed, again.manifest) == (0, done.manifest)
    kept = prepare(root, shards, small_config.updated(quarantine=QuarantineSpec(duplicates="keep")))
    assert (kept.n_computed, kept.manifest.quarantine) == (0, ())


def test_recordings_of_quite_another_length_are_left_out(make_corpus, small_config, tmp_path):
    """Beyond the tolerance a clip is put aside with its length; one sample more or less is not worth a word."""
    root = make_corpus()
    names = [row.filename for row in scene_rows() if row.device == "b"][:3]
    for name, n in zip(names, (7999, 8001, 2000), strict=True):
        soundfile.write(root / name, 0.1 * np.random.default_rng(n).standard_normal(n), 8000)
    done = prepare(root, tmp_path / "shards", small_config.updated(quarantine=QuarantineSpec(max_share=0.05)))
    (entry,) = done.manifest.quarantine
    assert (entry.filename, entry.fault) == (names[2], "length")
    assert entry.reason.startswith("is 0.250 s long, clips must be 1 s ± 50%.")
    assert len(done.warnings) == 1


def test_a_length_is_judged_by_the_split_of_now(tmp_path, small_config):
    """A long clip of an evaluation list is quarantined once it is in test, used again once it is back, as if fresh."""
    names = [f"{scene}{i}.wav" for scene in ("dog", "rain") for i in range(4)]
    root = write_tree(tmp_path / "data", {}, names)
    config = small_config.updated(
        features=SMALL.updated(clip_seconds=0.2),
        corpus={"layout": "table"},
        quarantine=QuarantineSpec(max_share=0.2, length_tolerance=0.6),
    )
    soundfile.write(root / "dog3.wav", 0.1 * np.random.default_rng(9).standard_normal(4000), 8000)
    n_quarantined = []
    for number, split in enumerate(("evaluation", "test", "evaluation")):
        table = [("file", "label", "split"), *((name, name[:-5], "train") for name in names[:3] + names[4:])]
        (root / "list.tsv").write_text(lines(*table, ("dog3.wav", "dog", split)))
        done = prepare(root, tmp_path / "shards", config)
        n_quarantined.append(len(done.manifest.quarantine))
        prepare(root, tmp_path / f"fresh{number}", config)
        assert contents(tmp_path / "shards") == contents(tmp_path / f"fresh{number}")
        assert prepare(root, tmp_path / "shards", config).n_computed == 0
    assert n_quarantined == [0, 1, 0]


def test_a_wrong_length_in_the_settings_is_recognised(make_corpus, small_config, tmp_path):
    """Where most recordings have another length than clips are to have, the message says which, and the key to set."""
    config = small_config.updated(features=SMALL.updated(clip_seconds=4.0))
    with pytest.raises(
        DataError, match=r"24 of 24 .* about 1 s long, not 4 s: .* --set prepare.features.clip_seconds=1\."
    ):
        prepare(make_corpus(), tmp_path, config)


def test_odd_lengths_and_unknown_locations_are_told(make_corpus, small_config, tmp_path):
    """Clips of another length than the setting, and clips without a location, are warnings with names."""
    rows = [Row(f"audio/{c}{i}.wav", c, "train", "") for c in ("dog", "rain") for i in range(5)]
    root = make_corpus(rows)
    soundfile.write(root / "audio/dog0.wav", np.sin(np.arange(4800)), 8000)
    soundfile.write(root / "audio/dog1.wav", np.sin(np.arange(11200)), 8000)
    warnings = " | ".join(prepare(root, tmp_path / "shards", small_config).warnings)
    assert "1 clip is shorter than clip_seconds = 1 and padded with zeros: dog0 (0.6 s)" in warnings
    assert "1 clip is longer than clip_seconds = 1 and cut: dog1 (1.4 s)" in warnings
    assert "10 clips have no location" in warnings
