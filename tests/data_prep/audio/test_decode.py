"""Decoding audio files."""

import numpy as np
import pytest
import soundfile
from data_prep_support import SMALL

from data_prep.audio.decode import fit_length, read_clip, read_mono
from data_prep.errors import DataError


def tone(hz: float, seconds: float, rate: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-23),
        ("wav", "PCM_32", 1e-7),
        ("wav", "FLOAT", 1e-7),
        ("wav", "DOUBLE", 1e-7),
        ("wav", "PCM_U8", 2**-7),
        ("flac", "PCM_16", 2**-15),
        ("flac", "PCM_24", 2**-23),
        ("aiff", "PCM_16", 2**-15),
        ("rf64", "PCM_16", 2**-15),
        ("ogg", "VORBIS", 0.02),
        ("ogg", "OPUS", 0.08),
        ("mp3", "MPEG_LAYER_III", 0.08),
    ],
)
def test_containers_give_the_samples_that_were_written(tmp_path, suffix, subtype, tolerance):
    """Any container and sample width that libsndfile reads gives the written samples, within its own rounding."""
    y = tone(440, 1.0, 8000)
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, y, 8000, subtype=subtype)
    got = read_clip(path, SMALL)
    assert got.dtype == np.float32
    assert np.abs(got[100:-100] - y[100:-100]).max() <= tolerance


def test_channels_are_averaged(tmp_path):
    """A recording of three channels becomes their mean."""
    channels = np.stack([tone(100, 1, 8000), tone(200, 1, 8000), tone(300, 1, 8000)], axis=1)
    soundfile.write(tmp_path / "three.wav", channels, 8000, subtype="FLOAT")
    np.testing.assert_allclose(read_clip(tmp_path / "three.wav", SMALL), channels.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate", [11025, 16000, 48000])
def test_other_rates_are_resampled(tmp_path, rate):
    """A tone recorded at another rate is the same tone at the wanted rate: same time, same amplitude."""
    soundfile.write(tmp_path / "tone.wav", tone(440, 1, rate), rate, subtype="FLOAT")
    got = read_mono(tmp_path / "tone.wav", 8000)
    assert abs(len(got) - 8000) <= 1
    np.testing.assert_allclose(got[500:7500], tone(440, 1, 8000)[500:7500], atol=1e-3)


def test_resampling_leaves_nothing_above_the_new_half_rate(tmp_path):
    """A tone above half the wanted rate vanishes instead of folding back."""
    soundfile.write(tmp_path / "high.wav", tone(9000, 1, 44100), 44100, subtype="FLOAT")
    assert np.abs(read_mono(tmp_path / "high.wav", 8000)[500:7500]).max() < 1e-4


def test_clips_are_cut_or_padded_at_their_end(tmp_path):
    """A recording one sample short or long comes out at exactly the wanted length."""
    y = tone(440, 1.5, 8000).astype(np.float32)
    for n in (7999, 8000, 8001, 100):
        soundfile.write(tmp_path / "clip.wav", y[:n], 8000, subtype="FLOAT")
        got = read_clip(tmp_path / "clip.wav", SMALL)
        assert got.shape == (8000,)
        np.testing.assert_array_equal(got[: min(n, 8000)], y[: min(n, 8000)])
        assert not got[n:].any()
    assert fit_length(y, 5).shape == (5,)


def test_corrupt_files_are_named_with_the_reason(tmp_path):
    """Text, no bytes, no samples, a torn FLAC, no numbers, no file, a folder: each names the file and what is wrong."""
    soundfile.write(tmp_path / "good.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 80000), 8000)
    whole = (tmp_path / "good.flac").read_bytes()
    (tmp_path / "torn.flac").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.wav").write_text("no audio at all")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.1, np.nan]), 8000, subtype="FLOAT")
    reasons = {
        "torn.flac": "(cannot be decoded|ends after)",
        "text.wav": "cannot be decoded: Format not recognised",
        "empty.wav": "cannot be decoded",
        "none.wav": "contains no samples",
        "nan.wav": "values that are not finite",
        "gone.wav": "no such file",
        "folder": "is a folder",
    }
    for name, reason in reasons.items():
        with pytest.raises(DataError, match=rf"{name}: .*{reason}"):
            read_clip(tmp_path / name, SMALL)


def test_a_header_that_promises_the_impossible_costs_no_memory(tmp_path):
    """A FLAC whose header says four thousand million samples more is refused without room being made for them."""
    path = tmp_path / "long.flac"
    soundfile.write(path, tone(440, 1, 8000), 8000)
    data = bytearray(path.read_bytes())
    data[4 + 4 + 13] |= 0x0F  # the high bits of the sample count in STREAMINFO
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"(ends after 8,000 of|cannot be decoded)"):
        read_clip(path, SMALL)


def test_long_recordings_are_read_piece_by_piece(tmp_path, monkeypatch):
    """More samples than one block come out as those that were written."""
    monkeypatch.setattr("data_prep.audio.decode.BLOCK_SAMPLES", 1000)
    y = tone(440, 1, 8000).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", np.stack([y, y], axis=1), 8000, subtype="FLOAT")
    np.testing.assert_array_equal(read_mono(tmp_path / "long.wav", 8000), y)


def test_absurd_rates_are_refused(tmp_path):
    """A sample rate of 2 Hz comes from a damaged header."""
    soundfile.write(tmp_path / "slow.wav", np.ones(10), 2)
    with pytest.raises(DataError, match="has a sample rate of 2 Hz"):
        read_mono(tmp_path / "slow.wav", 8000)
