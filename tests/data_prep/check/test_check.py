"""`asc data check`: every kind of damage is found, named, and held against what `asc prepare` does."""

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_prep_support import SMALL, Row, scene_rows, write_lists, write_tree

from data_prep.check.check import check_data
from data_prep.check.report import CheckReport, report_values, write_report
from data_prep.config import PrepareConfig, QuarantineSpec
from data_prep.errors import DataError
from data_prep.prepare.prepare import prepare

CONFIG = PrepareConfig(features=SMALL)
TRAIN = "evaluation_setup/fold1_train.csv"


def kinds(report: CheckReport) -> dict[str, set[str]]:
    """Return the files by severity and kind of finding."""
    found: dict[str, set[str]] = {}
    for finding in report.findings:
        found.setdefault(f"{finding.severity} {finding.kind}", set()).add(finding.filename.removeprefix("audio/"))
    return found


def append(path: Path, *rows: str) -> None:
    path.write_text(path.read_text() + "".join(row + "\n" for row in rows))


def test_a_sound_data_set_has_no_findings(make_corpus):
    """Nothing wrong: no finding, all files decoded, counts by split, device and scene add up to the lists."""
    told = []
    report = check_data(make_corpus(), CONFIG, on_progress=lambda done, total: told.append((done, total)))
    assert (report.findings, report.n_listed, report.n_files, report.layout) == ((), 24, 24, "tau")
    assert told[-1] == (24, 24)
    assert report.forms == {("WAV PCM_16", 8000, 1): 24}
    assert report.typical_seconds == 1.0
    counts = {(c.split, c.device, c.scene): (c.n_listed, c.n_usable) for c in report.counts}
    assert counts == {
        (split, device, scene): (n, n)
        for split, n in (("train", 3), ("validation", 1), ("test", 2))
        for device in "ab"
        for scene in ("park", "bus")
    }


@pytest.mark.system
def test_workers_find_the_same(make_corpus):
    """Two processes report what one reports."""
    root = make_corpus()
    (root / "audio/park-lisbon-0-0-a.wav").write_bytes(b"")
    assert check_data(root, CONFIG, n_workers=2) == check_data(root, CONFIG)


def test_each_kind_of_damage_to_files_is_told(make_corpus):
    """Missing, zero bytes, cut off, silent, too long, a little long, copied and unlisted files: each by its kind."""
    root = make_corpus()
    audio = root / "audio"
    (audio / "park-lisbon-0-0-a.wav").unlink()
    (audio / "park-lisbon-0-0-b.wav").write_bytes(b"")
    cut = audio / "park-lisbon-2-2-a.wav"
    cut.write_bytes(cut.read_bytes()[:9000])
    soundfile.write(audio / "park-lisbon-2-2-b.wav", np.zeros(8000), 8000)
    soundfile.write(audio / "park-vienna-1-1-a.wav", np.random.default_rng(7).uniform(-1, 1, 30000), 8000)
    soundfile.write(audio / "park-vienna-1-1-b.wav", np.random.default_rng(8).uniform(-1, 1, 8100), 8000)
    soundfile.write(audio / "park-vienna-3-3-a.wav", np.random.default_rng(9).uniform(-1, 1, 8001), 8000)
    y, _ = soundfile.read(audio / "bus-lisbon-100-0-a.wav")
    soundfile.write(audio / "bus-lisbon-100-0-b.wav", y, 8000, subtype="PCM_24")
    soundfile.write(audio / "extra.flac", np.random.default_rng(10).uniform(-1, 1, 16000), 16000)
    report = check_data(root, CONFIG.updated(quarantine={"max_missing_share": 0.1}))
    assert kinds(report) == {
        "error unreadable": {"park-lisbon-0-0-b.wav", "park-lisbon-2-2-a.wav"},
        "error length": {"park-vienna-1-1-a.wav"},
        "error duplicate": {"bus-lisbon-100-0-b.wav"},
        "warning missing": {"park-lisbon-0-0-a.wav"},
        "warning silent": {"park-lisbon-2-2-b.wav"},
        "warning length": {"park-vienna-1-1-b.wav"},
        "warning unlisted": {"extra.flac"},
        "warning form": {"extra.flac"},
    }
    texts = {finding.filename.removeprefix("audio/"): finding for finding in report.findings}
    assert "is cut off: 8,956 of 16,000 bytes of audio are present" in texts["park-lisbon-2-2-a.wav"].message
    assert texts["park-lisbon-2-2-a.wav"].where.endswith("fold1_train.csv, line 6")
    assert "the same recording as audio/bus-lisbon-100-0-a.wav" in texts["bus-lisbon-100-0-b.wav"].message
    assert sum(count.n_listed - count.n_usable for count in report.counts) == 3


def test_headers_with_slips_are_warnings_and_what_is_no_file_is_an_error(make_corpus):
    """A header that states a wrong size is told and the clip usable; a named pipe is unreadable, not waited for."""
    root = make_corpus()
    slip, pipe = root / "audio/park-lisbon-0-0-a.wav", root / "audio/park-lisbon-0-0-b.wav"
    data = slip.read_bytes()
    slip.write_bytes(data[:40] + (16_044).to_bytes(4, "little") + data[44:])
    pipe.unlink()
    os.mkfifo(pipe)
    report = check_data(root, CONFIG.updated(quarantine={"max_missing_share": 0.1}))
    assert kinds(report) == {"warning header": {slip.name}, "error unreadable": {pipe.name}}
    assert any("is a named pipe" in finding.message for finding in report.findings)


def test_names_that_no_terminal_should_take_are_written_as_escapes(make_corpus, tmp_path):
    """Bytes that are no UTF-8 and control characters in file names: the report can be written, and shows them."""
    root = make_corpus()
    for name in (b"x\xff.wav", b"y\x1b[2J.wav"):
        shutil.copy(root / "audio/park-lisbon-0-0-a.wav", os.fsencode(root / "audio") + b"/" + name)
    report = check_data(root, CONFIG)
    write_report(report, tmp_path / "report.csv")
    assert kinds(report)["warning unlisted"] == {"x\\udcff.wav", "y\\x1b[2J.wav"}


def test_no_cell_of_the_tables_is_a_formula(make_corpus, small_config, tmp_path):
    """Names that a spreadsheet would run, in the findings of a check and in the quarantine: text, by an apostrophe."""
    root = make_corpus([*scene_rows(), Row("=cmd|' 'C.wav", "park", "train", "lisbon-0")])
    (root / "=cmd|' 'C.wav").write_bytes(b"RIFF")
    shutil.copy(root / "audio/park-lisbon-0-0-a.wav", root / "audio" / "@sum.wav")
    write_report(check_data(root, CONFIG), tmp_path / "report.csv")
    prepare(root, tmp_path / "shards", small_config.updated(quarantine=QuarantineSpec(max_share=0.5)))
    for path in (tmp_path / "report.csv", tmp_path / "shards" / "quarantine.csv"):
        with path.open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert any(cell.startswith("'=cmd") for cell in cells)
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_prepare_puts_aside_what_check_calls_an_error(make_corpus, tmp_path):
    """The clips in the quarantine of a prepare are those that the check had called errors."""
    root = make_corpus()
    audio = root / "audio"
    (audio / "park-lisbon-0-0-b.wav").write_bytes(b"RIFF")
    shutil.copy(audio / "park-vienna-1-1-a.wav", audio / "park-vienna-1-1-b.wav")
    shutil.copy(audio / "park-vienna-3-3-a.wav", audio / "park-vienna-5-5-b.wav")  # the test clip stays
    soundfile.write(audio / "bus-vienna-101-1-a.wav", np.random.default_rng(7).uniform(-1, 1, 30000), 8000)
    config = CONFIG.updated(quarantine=QuarantineSpec(max_share=0.5))
    report = check_data(root, config, clip_seconds=1.0)
    errors = {finding.filename for finding in report.findings if finding.severity == "error"}
    manifest = prepare(root, tmp_path / "shards", config).manifest
    assert {entry.filename for entry in manifest.quarantine} == errors
    assert {name.removeprefix("audio/") for name in errors} == {
        "park-lisbon-0-0-b.wav",
        "park-vienna-1-1-b.wav",
        "park-vienna-3-3-a.wav",
        "bus-vienna-101-1-a.wav",
    }


def test_recordings_that_make_equal_clips_are_duplicates(make_corpus, tmp_path):
    """Equal in their first clip_seconds, different or cut after them: an error, as prepare puts the later one aside."""
    root = make_corpus()
    first, longer, other, far = (
        root / f"audio/park-{name}-a.wav" for name in ("lisbon-0-0", "vienna-1-1", "lisbon-2-2", "vienna-3-3")
    )
    sound = np.random.default_rng(7).uniform(-1, 1, 30000)
    soundfile.write(far, sound, 8000)
    soundfile.write(first, sound[:8000], 8000)
    soundfile.write(longer, sound[:9000], 8000)
    soundfile.write(other, np.concatenate([sound[:8000], sound[:500]]), 8000)
    config = CONFIG.updated(quarantine=QuarantineSpec(max_share=0.5))
    report = check_data(root, config, clip_seconds=1.0)
    assert kinds(report)["error duplicate"] == {longer.name, other.name, far.name}
    text = f"is the same recording as audio/{first.name} in the 1 s that are used"
    assert {finding.message for finding in report.findings if finding.kind == "duplicate"} == {text}
    errors = {finding.filename for finding in report.findings if finding.severity == "error"}
    assert {entry.filename for entry in prepare(root, tmp_path / "shards", config).manifest.quarantine} == errors
    assert "error duplicate" not in kinds(check_data(root, config))


def test_evaluation_clips_of_any_length_are_warnings_as_prepare_takes_them(tmp_path, small_config):
    """A list without labels with clips far too long and too short: each is told, none is an error or put aside."""
    root = write_tree(tmp_path / "data", {}, [f"audio/{i}.wav" for i in range(4)])
    soundfile.write(root / "audio/2.wav", np.random.default_rng(7).uniform(-1, 1, 30000), 8000)
    config = small_config.updated(features=SMALL.updated(clip_seconds=0.4))
    report = check_data(root, config, clip_seconds=0.4)
    assert kinds(report) == {"warning length": {f"{i}.wav" for i in range(4)}}
    assert prepare(root, tmp_path / "shards", config).manifest.quarantine == ()


def test_a_duplicate_with_another_label_says_so(make_corpus):
    """One recording as park and as bus: the finding names both."""
    root = make_corpus()
    shutil.copy(root / "audio/park-lisbon-0-0-a.wav", root / "audio/bus-lisbon-100-0-a.wav")
    (finding,) = check_data(root, CONFIG).findings
    assert (finding.kind, finding.severity) == ("duplicate", "error")
    assert "which is park in" in finding.message
    assert finding.message.endswith("fold1_train.csv, line 2, and this bus")


def test_each_contradiction_in_lists_is_told_at_once(make_corpus):
    """Listed twice, in two lists, label against name, shared location: all in one report, and nothing hides another."""
    root = make_corpus()
    append(root / TRAIN, "audio/park-lisbon-0-0-a.wav\tpark", "audio/bus-vienna-105-5-a.wav\tbus")
    text = (root / TRAIN).read_text().replace("park-lisbon-2-2-a.wav\tpark", "park-lisbon-2-2-a.wav\tbus")
    (root / TRAIN).write_text(text)
    meta = (root / "meta.csv").read_text()
    (root / "meta.csv").write_text(meta.replace("park-lisbon-2-2-a.wav\tpark", "park-lisbon-2-2-a.wav\tbus"))
    (root / "audio/park-lisbon-0-0-b.wav").write_bytes(b"")
    assert kinds(check_data(root, CONFIG)) == {
        "error two lists": {"bus-vienna-105-5-a.wav"},
        "error name against label": {"park-lisbon-2-2-a.wav"},
        "error shared location": {"bus-vienna-105-5-b.wav"},
        "error unreadable": {"park-lisbon-0-0-b.wav"},
        "warning listed twice": {"park-lisbon-0-0-a.wav"},
    }


def test_unreadable_lists_leave_the_audio_to_be_checked(make_corpus):
    """A list without header is one error; files are decoded all the same."""
    root = make_corpus()
    (root / TRAIN).write_text("audio/x.wav\tpark\n")
    (root / "audio/park-lisbon-0-0-b.wav").write_bytes(b"")
    report = check_data(root, CONFIG)
    assert kinds(report) == {"error lists": {""}, "warning unreadable": {"park-lisbon-0-0-b.wav"}}
    assert report.n_files == 24
    with pytest.raises(DataError, match="no such folder"):
        check_data(root / "nowhere", CONFIG)


def test_what_prepare_would_stop_at_is_an_error(make_corpus):
    """A scene whose training clips are all corrupt, or training files all missing: an error about the data set."""
    root = make_corpus()
    for path in (root / "audio").glob("park-*"):
        if int(path.name.split("-")[2]) < 4:
            path.write_bytes(b"")
    assert "error no training clip" in kinds(check_data(root, CONFIG))
    for path in (root / "audio").glob("*.wav"):
        if int(path.name.split("-")[2]) % 100 < 4:
            path.unlink()
    found = [finding.message for finding in check_data(root, CONFIG).findings if finding.kind == "lists"]
    assert "none of its 16 files is on disk" in found[0]


def test_a_stated_clip_length_is_held_against_every_file(make_corpus):
    """Ten-second clips wanted, one-second clips there: each is an error; without a wish none is."""
    root = make_corpus()
    assert check_data(root, CONFIG).n_errors == 0
    assert check_data(root, CONFIG, clip_seconds=10.0).n_errors == 24


def test_links_to_folders_are_followed_once(make_corpus, tmp_path):
    """audio/ as a link to another place is searched; a link back up doesn't go round for ever."""
    root = make_corpus()
    shutil.move(root / "audio", tmp_path / "store")
    (root / "audio").symlink_to(tmp_path / "store")
    (tmp_path / "store/back").symlink_to(root)
    report = check_data(root, CONFIG)
    assert (report.n_files, report.findings) == (24, ())


def test_the_report_is_written_as_tables_and_as_json(make_corpus, tmp_path):
    """Findings and counts as CSV that reads back; the JSON values hold the same."""
    root = make_corpus()
    (root / "audio/park-lisbon-0-0-b.wav").write_bytes(b"")
    report = check_data(root, CONFIG)
    counts_path = write_report(report, tmp_path / "report.csv")
    with (tmp_path / "report.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["severity"], row["kind"], row["filename"]) == ("error", "unreadable", "audio/park-lisbon-0-0-b.wav")
    with counts_path.open() as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["n_listed"]) for row in rows) == 24
    assert sum(int(row["n_usable"]) for row in rows) == 23
    values = report_values(report)
    assert values["findings"][0]["filename"] == row["filename"]
    assert values["counts"][0].keys() == rows[0].keys()


def test_fuzzed_files_never_crash_and_cuts_never_pass(make_corpus):
    """Forty files: truncated, zero length, bits flipped, another file's bytes, text; every cut and blank is named."""
    rng = np.random.default_rng(0)
    rows = [Row(f"audio/park-lisbon-{i}-{i}-a.wav", "park", "train", f"lisbon-{i}") for i in range(40)]
    rows += scene_rows(("bus",))
    root = make_corpus(rows)
    write_lists(root, rows)
    must_fail = set()
    for i, row in enumerate(rows[:40]):
        path = root / row.filename
        data = bytearray(path.read_bytes())
        if i % 5 == 0:
            data = data[: int(rng.integers(0, len(data)))]
        elif i % 5 == 1:
            data = bytearray()
        elif i % 5 == 2:
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        elif i % 5 == 3:
            data = bytearray(rng.bytes(len(data)))
        else:
            continue
        path.write_bytes(data)
        if i % 5 in (0, 1, 3):
            must_fail.add(path.name)
    report = check_data(root, CONFIG)
    assert kinds(report)["error unreadable"] >= must_fail
    bad = {finding.filename for finding in report.findings if finding.severity == "error"}
    assert report.n_listed - sum(count.n_usable for count in report.counts) <= len(bad)


def test_held_out_devices_that_do_not_occur_are_refused_like_by_prepare(make_corpus, tmp_path):
    """Device B for b: the message of `asc prepare` is an error of the check."""
    root = make_corpus()
    config = CONFIG.updated(validation={"holdout_devices": ("B",)})
    with pytest.raises(DataError, match=r"no clip of 'B'\. Its devices: a, b\.") as refused:
        prepare(root, tmp_path / "shards", config)
    (finding,) = check_data(root, config).findings
    assert (finding.severity, finding.kind, finding.message) == ("error", "lists", str(refused.value))
