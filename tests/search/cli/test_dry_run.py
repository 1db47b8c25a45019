"""`asc search --dry-run` as a user's shell sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import Answer, asc
from process_support import ROOT

from data_prep.shards.manifest import read_manifest

SPACE = (
    "space: {n_blocks: [1, 2], base_filters: [8, 64], growth: [1.0, 1.5], kernel_size: 3, stem_filters: 8, "
    "dropout: 0.0, train.mixup_alpha: [0.2, 0.4]}\n"
)
SCRIPT = (
    "import sys\nsys.argv = ['asc', *sys.argv[1:]]\nfrom search.cli.main import main\n"
    "try:\n    main()\nfinally:\n"
    "    print([n for n in ('ray', 'tensorflow', 'keras', 'librosa') if n in sys.modules], file=sys.stderr)"
)


def search(folder: Path, *arguments: object, code: int = 0) -> Answer:
    """Run `asc search` in `folder`."""
    return asc("search", *arguments, code=code, folder=folder, COLUMNS="120")


@pytest.mark.system
def test_a_dry_run_loads_no_framework(tmp_path):
    """A process that lays out the space loads neither Ray nor TensorFlow nor librosa."""
    (tmp_path / "run.yaml").write_text(SPACE)
    command = [sys.executable, "-c", SCRIPT, "search", str(tmp_path / "run.yaml"), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


def test_a_dry_run_tells_the_space_and_touches_nothing(tmp_path):
    """Size, share, both ends and the epochs are printed, and no file is written."""
    (tmp_path / "run.yaml").write_text(SPACE + "rules: {name: custom, limits: {weight_bytes: 8000}}\n")
    done = search(tmp_path, "run.yaml", "--dry-run")
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]
    words = " ".join(done.stdout.split())
    for told in (
        "reduction_ratio 4, 8, 16 attention is channel or casam",
        "different candidates",
        "share of points that fit",
        "smallest that fits largest that fits",
        "exported as int8_weights int8_weights",
        "A search trains 64 of them, compared at epochs 6, 14, 30, 62:",
        "Limits (custom), as checked before training: weight_bytes 8,000 (exact).",
        "Input 128 × 423 × 3, 10 scenes: by prepare.features, reader and the assumption of 10 scenes",
    ):
        assert told in words


def test_a_limit_on_the_file_alone_rejects_before_training(tmp_path):
    """Weights and the least overhead over the limit are not trained; each limit says how it is checked."""
    files = "rules: {name: custom, limits: {file_bytes: 20000, macs: 900000000}}\n"
    (tmp_path / "run.yaml").write_text(SPACE + files)
    surveyed = json.loads(search(tmp_path, "run.yaml", "--dry-run", "--json").stdout)
    assert 0 < surveyed["feasible_share"] < 1
    assert surveyed["largest"]["weight_bytes"] < 20_000
    assert surveyed["limits_checked"] == {"file_bytes": "lower bound, exact after export", "macs": "exact"}
    words = " ".join(search(tmp_path, "run.yaml", "--dry-run").stdout.split())
    assert "file_bytes 20,000 (lower bound, exact after export), macs 900,000,000 (exact)" in words
    (tmp_path / "run.yaml").write_text(SPACE + "rules: {name: custom, limits: {file_bytes: 1200}}\n")
    refusal = search(tmp_path, "run.yaml", "--dry-run", code=1).stderr
    assert "file_bytes at least " in refusal


@pytest.mark.system
def test_a_machine_reads_the_same(tmp_path, shards):
    """As JSON, with the shape of the shards' input: numbers add up, both ends fit, the largest is the larger one."""
    (tmp_path / "run.yaml").write_text(
        SPACE + "recipe: paper\nreader: {deltas: 0}\nrules: {name: custom, limits: {weight_bytes: 8000}}\n"
    )
    done = search(tmp_path, "run.yaml", "--shards", shards, "--dry-run", "--json", "--set", "prepare.features.n_mels=8")
    assert "prepare.features.n_mels: 8 here, 16 there" in done.stderr
    found = json.loads(done.stdout)
    assert (found["input_shape"], found["n_classes"]) == ([16, 32, 1], 3)
    assert found["n_points"] == found["n_seen"] == 2 * 2 * 2 * 2 * 3 * 8 * 2
    assert found["is_exact"]
    assert 0 < found["n_feasible_candidates"] < found["n_candidates"] < found["n_points"]
    assert found["smallest"]["weight_bytes"] < found["largest"]["weight_bytes"] <= 8000
    assert found["largest"]["params"]["train.mixup_alpha"] in (0.2, 0.4)
    assert found["rungs"] == [6, 14, 30, 62]
    assert found["epochs_expected"] == 64 * (6 + 8 / 2 + 16 / 4 + 32 / 8)
    assert found["epochs_at_most"] == 64 * 62
    low, high = found["hours_expected"]
    n_examples = found["epochs_expected"] * read_manifest(shards).counts[1]["train"]
    per_example = sorted(found["seconds_per_example"])
    assert [low, high] == pytest.approx([one * n_examples / found["n_concurrent"] / 3600 for one in per_example])
    assert 1e-6 < per_example[0] < 1.0
    assert 100e6 < found["memory_bytes_per_trial"] < 5e9


def test_windows_are_told_with_the_input(tmp_path):
    """With windows the input is a clip's, in so many windows; MACs count all of them; one too long is an error."""
    (tmp_path / "run.yaml").write_text(
        SPACE + "reader: {scaling: none, window_seconds: 1.5, n_windows: 7}\n"
        "rules: {name: custom, limits: {macs: 1000000000}}\n"
    )
    plain, found = (
        json.loads(search(tmp_path, "run.yaml", "--dry-run", "--json", *more).stdout)
        for more in (("--set", "reader.window_seconds=null"), ())
    )
    assert found["input_shape"] == plain["input_shape"] == [128, 423, 3]
    assert found["windows"] == {"n_frames": 65, "n_windows": 7}
    assert "windows" not in plain
    assert found["smallest"]["macs"] > plain["smallest"]["macs"]
    told = " ".join(search(tmp_path, "run.yaml", "--dry-run").stdout.split())
    assert "Input 128 × 423 × 3 in 7 windows of 65 frames, 10 scenes" in told
    long = search(tmp_path, "run.yaml", "--dry-run", "--set", "reader.window_seconds=11", code=1)
    assert "reader.window_seconds: 11 s are 474 frames, and must be 1 to 423" in " ".join(long.stderr.split())


@pytest.mark.system
def test_a_space_without_end_is_told_with_its_interval(tmp_path):
    """With a range of real numbers the points are unlimited, and the share has an interval."""
    (tmp_path / "run.yaml").write_text("space: {train.learning_rate: {low: 0.03, high: 0.3, log: true}}\n")
    done = search(tmp_path, "run.yaml", "--dry-run", "--set", "search.scheduler=none")
    words = " ".join(done.stdout.split())
    assert "compared at epochs 6, 14, 30, 62: 3,968 epochs in total." in words
    assert "points unlimited drawn at random 10,000 share of points that fit" in words
    assert "(95 % confidence: " in words
    assert "train.learning_rate 0.03 to 0.3, log scale" in words


@pytest.mark.parametrize(
    ("text", "arguments", "code", "message"),
    [
        pytest.param(
            "rules: {name: custom, limits: {weight_bytes: 500}}\n",
            ("--dry-run",),
            1,
            "nothing in the search space fits: the smallest candidate needs",
            marks=pytest.mark.system,  # it looks at 10,000 points
        ),
        ("space: {kernel_size: [4]}\n", ("--dry-run",), 1, "space.kernel_size.0: Input should be 3 or 5 (got 4)"),
        (
            "search: null\nretrain: {systems: [{name: a, preset: cp-mobile}]}\n",
            ("--dry-run",),
            1,
            "`search: null`: there is no search",
        ),
        ("", ("--shards", "here"), 2, "--out is required without --dry-run"),
        ("", (), 2, "--shards is required without --dry-run"),
        ("", ("--shards", "nowhere", "--dry-run"), 1, "nowhere"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_message(tmp_path, text, arguments, code, message):
    """A limit that nothing fits, a wrong space, a missing option: one message, and still no file."""
    (tmp_path / "run.yaml").write_text(text)
    done = search(tmp_path, "run.yaml", *arguments, code=code)
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]
