"""The summary of a folder of shards."""

import json

import pytest
import soundfile

from data_prep.errors import DataError
from data_prep.prepare.prepare import prepare
from data_prep.shards.summary import summarize


def test_the_summary_counts_what_was_prepared(make_corpus, small_config, tmp_path):
    """Counts by fold, split, scene and device add up to the clips; the size is that of the files; it is plain JSON."""
    done = prepare(make_corpus(), tmp_path / "shards", small_config)
    summary = json.loads(json.dumps(summarize(tmp_path / "shards")))
    assert summary["hash"] == done.manifest.hash()
    assert (summary["name"], summary["n_clips"], summary["n_shards"]) == ("corpus", 24, 5)
    splits = summary["folds"]["1"]
    assert splits["train"] == {
        "n_clips": 12,
        "n_locations": 6,
        "n_copies": 0,
        "by_scene": {"bus": 6, "park": 6},
        "by_device": {"a": 6, "b": 6},
    }
    for split in splits.values():
        assert sum(split["by_scene"].values()) == sum(split["by_device"].values()) == split["n_clips"]
    n_bytes = sum(path.stat().st_size for path in (tmp_path / "shards").glob("*.parquet"))
    assert summary["n_bytes"] == n_bytes
    assert summary["bytes_per_clip"] == round(n_bytes / 24)


def test_silence_is_counted_by_scene(make_corpus, small_config, tmp_path):
    """Of each scene's recordings the frames at the floor are counted: zeros written into a clip, and nothing else."""
    corpus = make_corpus()
    path = next(iter(sorted((corpus / "audio").glob("bus*"))))
    wave, rate = soundfile.read(path, always_2d=True)
    wave[len(wave) // 2 :] = 0
    soundfile.write(path, wave, rate)
    prepare(corpus, tmp_path / "shards", small_config)
    spec, floor = small_config.features, summarize(tmp_path / "shards")["floor_frames"]
    half = spec.n_samples // 2
    n_silent = sum(frame * spec.hop_length - spec.n_fft // 2 >= half for frame in range(spec.n_frames))
    assert floor == {
        "bus": {"n_frames": 12 * spec.n_frames, "n_floor": n_silent},
        "park": {"n_frames": 12 * spec.n_frames, "n_floor": 0},
    }


def test_a_lost_shard_is_named(make_corpus, small_config, tmp_path):
    """A shard that is missing or no Parquet is named with the way out."""
    prepare(make_corpus(), tmp_path / "shards", small_config)
    shard = tmp_path / "shards" / "shard-00001.parquet"
    for damage in (lambda: shard.write_bytes(b"x" * 100), shard.unlink):
        damage()
        with pytest.raises(DataError, match=r"shard-00001\.parquet: .*(checksum differs|missing).*Rerun `asc prepare`"):
            summarize(tmp_path / "shards")
