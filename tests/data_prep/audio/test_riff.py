"""Plain 16-bit WAV files, read without a decoder."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from data_prep.audio.riff import read_pcm16


@given(st.integers(1, 3), st.integers(1, 500), st.sampled_from([1000, 8000, 44_100, 96_000]), st.integers(0, 2**32 - 1))
def test_samples_are_libsndfiles(n_channels, n, rate, seed):
    """Any samples, channels and rate give libsndfile's float32 values, channels averaged, to the bit."""
    samples = np.random.default_rng(seed).integers(-32768, 32768, (n, n_channels), dtype=np.int16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        soundfile.write(path, samples, rate, subtype="PCM_16")
        expected = soundfile.read(path, dtype="float32", always_2d=True)[0]
        got = read_pcm16(path)
    assert got is not None
    assert got[1] == rate
    np.testing.assert_array_equal(got[0], expected.mean(axis=1, dtype=np.float32))


@pytest.fixture
def plain(tmp_path) -> Path:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.arange(-500, 500, dtype=np.int16), 8000, subtype="PCM_16")
    return path


def test_notes_around_the_samples_are_passed_over(plain):
    """Other chunks before and behind the samples, of even and odd length, change nothing."""
    data = plain.read_bytes()
    expected = read_pcm16(plain)
    note = b"LIST" + (3).to_bytes(4, "little") + b"abc\0"
    noted = data[:12] + note + data[12:] + note
    plain.write_bytes(noted[:4] + (len(noted) - 8).to_bytes(4, "little") + noted[8:])
    got = read_pcm16(plain)
    assert expected is not None
    assert got is not None
    np.testing.assert_array_equal(got[0], expected[0])


@given(st.integers(0, 43), st.integers(1, 255))
def test_a_header_with_any_byte_changed_is_left_to_the_decoder(position, flip):
    """No damaged header is read as plain: whichever of its bytes changes, two of its statements disagree."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        soundfile.write(path, np.arange(-500, 500, dtype=np.int16), 8000, subtype="PCM_16")
        data = bytearray(path.read_bytes())
        assert data[36:40] == b"data"
        data[position] ^= flip
        path.write_bytes(data)
        assert read_pcm16(path) is None


@pytest.mark.parametrize("cut", [0, 3, 11, 19, 30, 43, 44, 45, 1000, 2043])
def test_a_cut_file_is_left_to_the_decoder(plain, cut):
    """A file that ends early, anywhere, is not read as plain; nor is one with bytes behind its end."""
    data = plain.read_bytes()
    plain.write_bytes(data[:cut])
    assert read_pcm16(plain) is None
    plain.write_bytes(data + b"\0\0")
    assert read_pcm16(plain) is None


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.flac", "PCM_16")])
def test_other_files_are_left_to_the_decoder(tmp_path, name, subtype):
    """Other sample widths and containers, folders and missing files are none of its business."""
    soundfile.write(tmp_path / name, np.zeros(100), 8000, subtype=subtype)
    assert read_pcm16(tmp_path / name) is None
    assert read_pcm16(tmp_path) is None
    assert read_pcm16(tmp_path / "gone.wav") is None
