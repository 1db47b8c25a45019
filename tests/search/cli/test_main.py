"""The command line as a user's shell sees it: exit codes, messages, and what is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from cli_support import ASC, asc, asc_process
from ledger_support import RUNGS, Book
from process_support import ROOT

from asc_models.candidate import CandidateConfig
from asc_models.config import TrainConfig
from asc_models.networks.presets import preset
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.files.files import write_text
from data_prep.files.yaml_file import to_yaml
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from search.config import read_run_config
from search.run_config import open_run

HEAVY = ("tensorflow", "keras", "ray", "optuna", "librosa", "matplotlib", "sklearn", "scipy", "pandas")
LIGHT = 450
"""Modules that `asc --help` may load (368 when this was written): its time to answer is what loading them takes."""


@pytest.mark.system
def test_help_loads_nothing_heavy():
    """`asc --help` and every command's --help import none of the heavy packages."""
    script = (
        "import sys\nfrom search.cli.main import app, main\n"
        "from typer.testing import CliRunner\n"
        "commands = [command.name for command in app.registered_commands]\n"
        "for words in [[], *([name] for name in commands)]:\n"
        "    assert CliRunner().invoke(app, [*words, '--help']).exit_code == 0, words\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.system
def test_help_loads_little():
    """`asc --help` loads few modules, so that it answers in well under a second."""
    said = asc_process("--help", options=("-X", "importtime"))
    assert "Every stage" in said.stdout
    loaded = [line for line in said.stderr.splitlines() if line.startswith("import time:")]
    assert len(loaded) < LIGHT


@pytest.mark.system
def test_a_shell_gets_the_exit_codes(tmp_path):
    """Of a process: 0, 1 for a user's mistake, 2 for wrong usage; the message on standard error alone."""
    assert "n_params" in asc_process("describe", "cp-mobile", "--json").stdout
    mistake = asc_process("status", tmp_path, code=1)
    assert "not a run directory" in mistake.stderr
    assert mistake.stdout == ""
    assert "No such command 'serch'" in asc_process("serch", code=2).stderr


@pytest.mark.parametrize("data", ["missing", "empty", "file"])
def test_a_wrong_data_set_leaves_no_run_directory(tmp_path, data):
    """A folder that isn't there, that is empty, or a file: the error names it, and no folder is left behind."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    refusal = asc("run", "demo", "--data", tmp_path / data, "--out", tmp_path / "run", code=1).stderr
    assert str(tmp_path / data) in refusal
    assert not (tmp_path / "run").exists()


def test_usage_errors_exit_with_2():
    """An unknown command, a missing argument and an unknown option are usage errors."""
    assert "No such command 'serch'" in asc("serch", code=2).stderr
    assert "CONFIG" in asc("run", code=2).stderr
    assert "--fast" in asc("demo", "--fast", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "demo", "--data", "nowhere", "--out", "{tmp}/run"), "nowhere: no such folder"),
        (("run", "nope.yaml", "--data", ".", "--out", "{tmp}/run"), "nope.yaml: no such file or shipped configuration"),
        (("prepare", "{tmp}", "--out", "{tmp}/shards"), "Error:"),
        (("inspect", "{tmp}"), "manifest.json"),
        (("status", "{tmp}"), "not a run directory"),
        (("status", "{tmp}", "--follow"), "not a run directory"),
        (("report", "{tmp}"), "not a run directory"),
        (("describe", "cao2021-system9"), "unknown network 'cao2021-system9'"),
        (("describe", "{tmp}/no.tflite"), "no.tflite"),
        (("describe", "cao2021-system4", "--seconds", "0"), "clip_seconds: Input should be greater than 0.1"),
        (("describe", "{tmp}"), "neither a candidate's folder"),
        (("search", "{tmp}", "--shards", "{tmp}", "--out", "{tmp}/run"), "is a folder"),
        (("search", "{tmp}", "--json-log", "--shards", "{tmp}", "--out", "{tmp}/run"), "is a folder"),
        (
            ("search", "tau2020-cao2021", "--shards", "{tmp}", "--out", "{tmp}/run"),
            "`search: null`: there is no search",
        ),
        (("demo", "--set", "synth=null", "--out", "{tmp}/run"), "synth=null"),
        (("predict", "{tmp}", "a.wav"), "not a candidate"),
        (("score", "{tmp}/out.csv", "{tmp}/truth.csv"), "truth.csv"),
    ],
)
def test_mistakes_are_one_clear_message(arguments, message, tmp_path):
    """A user's mistake exits with 1 and one message that names the place; nothing is left behind."""
    done = asc(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments), code=1)
    assert message in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.rglob("*.parquet"))


def test_describe_as_json_is_the_contract():
    """`asc describe --json` gives shape, parameters, MACs, bytes by mode and every rule's checks."""
    table = json.loads(asc("describe", "dcase2021-baseline", "--json").stdout)
    assert table["n_params"] == 46_246
    assert table["weight_bytes"]["float16"] == 91_980
    verdict = table["rules"]["dcase2021"]["float16"]
    assert verdict["feasible"] is True
    assert verdict["checks"] == [{"quantity": "nonzero_weight_bytes", "value": 91_980, "limit": 128_000}]
    assert [layer["name"] for layer in table["layers"]][:2] == ["conv1", "conv2"]


@pytest.mark.parametrize("name", ["cao2021-system1", "cao2021-system4", "cp-mobile", "dcase2021-baseline"])
def test_describe_fits_a_terminal_and_says_what_is_assumed(name):
    """80 columns hold every line; the source is named."""
    text = asc("describe", name).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "Source: " in text


def test_describe_has_what_was_published_beside_the_count():
    """The paper's figures, what can't be matched in them, and the layer that is the largest of what is over."""
    words = " ".join(asc("describe", "cao2021-system4").stdout.split())
    assert "Published: 50,238 non-zero parameters, 102.9 KB quantized" in words
    assert "cannot be matched exactly" in words
    assert "macs 68,567,968 38,567,968 block1_expand 27,787,264" in words
    assert "bytes as float32 193,212 65,212 block4_project 41,280" in words


def test_describe_tells_what_pruning_leaves(tmp_path):
    """A pruned candidate's non-zero bytes stand beside all of them; 2021's rules take the former, 2023's the latter."""
    config = CandidateConfig(
        name="half",
        trial_id=None,
        model=preset("cao2021-system1"),
        train=TrainConfig(sparsity=0.5),
        features=FeatureSpec(),
        reader=ReaderSpec(),
        classes=tuple("abcdefghij"),
        mode="int8_weights",
        checkpoint="log_loss",
        seed=0,
        fold=1,
        data_hash="0",
    )
    write_text(tmp_path / "config.yaml", to_yaml(config.model_dump(mode="json")))
    found = json.loads(asc("describe", tmp_path, "--json").stdout)
    total, left = found["weight_bytes"]["float32"], found["nonzero_weight_bytes"]["float32"]
    assert 0.5 * total < left < 0.7 * total
    checks = {rule: found["rules"][rule]["float32"]["checks"][0]["value"] for rule in ("dcase2021", "dcase2023")}
    assert checks == {"dcase2021": left, "dcase2023": total}
    text = asc("describe", tmp_path).stdout
    assert max(map(len, text.splitlines()[1:])) <= 80  # the first line has the folder
    assert f"non-zero weights as float32, bytes, at most {left:,}" in " ".join(text.split())


def test_describe_judges_by_limits_of_ones_own():
    """--limit adds a rule set `custom`; a quantity that there isn't, or no number, is an error."""
    table = json.loads(asc("describe", "cp-mobile", "--limit", "macs=4_000_000", "--json").stdout)
    assert table["input_shape"] == [256, 64, 1]
    assert table["rules"]["custom"]["float32"] == {
        "feasible": False,
        "checks": [{"quantity": "macs", "value": 4_128_768, "limit": 4_000_000}],
    }
    wrong = {text: f"--limit macs={text}: must be quantity=number" for text in ("few", "64_", "²", "1.5", "")}
    for text, problem in {**wrong, "-5": "limits.macs"}.items():
        assert problem in asc("describe", "cp-mobile", "--limit", f"macs={text}", code=1).stderr
    assert "limits.bytes" in asc("describe", "cp-mobile", "--limit", "bytes=1", code=1).stderr


def test_describe_shows_the_exports_that_a_rule_refuses():
    """2022's 128,000 parameters are int8: a network far below them is refused in float32, and told where it isn't."""
    verdicts = json.loads(asc("describe", "cp-mobile", "--json").stdout)["rules"]["dcase2022"]
    assert [mode for mode, verdict in verdicts.items() if verdict["feasible"]] == [
        *("int8_weights", "int4_int8_weights", "int8"),
    ]
    assert verdicts["float32"]["refused"].endswith("dcase2022 allows int8_weights, int4_int8_weights, int8")
    text = " ".join(asc("describe", "cp-mobile").stdout.split())
    assert "Refused: export as dynamic_range, float16, float32 leaves kernels wider than int8;" in text


@pytest.mark.system
@pytest.mark.parametrize(("name", "status", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_ctrl_c_and_sigterm_are_answered(name, status, word):
    """Whoever interrupts a command is told that nothing is lost, and the exit status is that of the signal."""
    script = (
        "import os, signal, sys, search.cli.main as asc\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # shells start jobs with it ignored
        f"asc.app.command('wait')(lambda: os.kill(os.getpid(), signal.{name}))\n"
        "sys.argv = ['asc', 'wait']\n"
        "asc.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == status
    assert f"Error: {word}. Finished work is kept" in done.stderr
    assert "Traceback" not in done.stderr


def test_version_is_the_packages():
    """`asc --version` prints the package's version."""
    from data_prep import __version__

    assert asc("--version").stdout.strip() == f"asc {__version__}"


@pytest.mark.system
def test_a_limit_that_nothing_fits_ends_before_any_training(shards, tmp_path):
    """Where not even the smallest network fits, the search says its bytes and the limit, and starts nothing."""
    limit = ("--set", "rules={name: custom, limits: {weight_bytes: 10}}")
    few = ("--set", "space={kernel_size: 3, attention: none, growth: 1.0}")  # points, all of which are looked at
    done = asc("search", "default", "--shards", shards, "--out", tmp_path / "run", *limit, *few, code=1)
    assert "smallest" in done.stderr
    assert "over 10" in done.stderr
    assert not (tmp_path / "run" / "trials.parquet").exists()


@pytest.mark.parametrize("command", ["search", "run"])
def test_a_run_that_another_works_on_keeps_its_configuration(command, shards, tmp_path):
    """While one process has the run, a second with another configuration is refused and changes no byte of it."""
    run = RunDirectory(tmp_path / "run")
    open_run(run, read_run_config("demo"))
    before = run.config_path.read_bytes()
    source = ("--shards", shards) if command == "search" else ("--data", shards)
    with Ledger.open_for_writing(run.ledger_path):
        done = asc(command, "default", *source, "--out", run.root, code=1)
    assert "another asc process is working on this run" in done.stderr
    assert run.config_path.read_bytes() == before


def test_a_fold_that_the_data_lack_is_told_before_anything_starts(shards, tmp_path):
    """A wrong fold names the folds there are, and leaves no run directory that a right one would collide with."""
    done = asc("search", "default", "--shards", shards, "--out", tmp_path / "run", "--set", "fold=9", code=1)
    assert "no fold 9; they have 1" in done.stderr
    assert not (tmp_path / "run").exists()


def test_describe_of_a_run_names_its_candidates(tmp_path):
    """Given a run instead of a candidate, describe says which candidates the run holds."""
    (tmp_path / "candidates" / "t0001-s0").mkdir(parents=True)
    (tmp_path / "config.yaml").write_text("fold: 1\n")
    assert "is a run, not a candidate; its candidates: t0001-s0" in asc("describe", tmp_path, code=1).stderr


def test_a_file_that_cannot_be_opened_is_a_message(tmp_path):
    """A file of a run that the system refuses to open (here: a folder in its place) is named, without a traceback."""
    (tmp_path / "config.yaml").write_text("fold: 1\n")
    (tmp_path / "ledger.jsonl").mkdir()
    done = asc("status", tmp_path, code=1)
    assert f"{tmp_path / 'ledger.jsonl'}: Is a directory" in done.stderr


@pytest.fixture
def searched(tmp_path):
    """A run whose search was cut off in its middle, without Ray: two trials of four have finished, one is paused."""
    book = Book()
    book("session_started", n_trials=4, epochs=list(RUNGS), expected=[4, 2, 1])
    for number in range(4):
        book("trial_started", f"t{number}", params={}, config={}, key=f"k{number}", seed=0, macs=1, weight_bytes=100)
        book.now += 10
        if number < 2:
            book.rung(f"t{number}", 0, 0.5, "continue").rung(f"t{number}", 1, 0.6, "continue")
            book.rung(f"t{number}", 2, 0.7, "finish", 100 - number)
    book.rung("t2", 0, 0.4, "pause")
    (tmp_path / "config.yaml").write_text("search: {n_trials: 4, epochs: 14}\n")
    (tmp_path / "ledger.jsonl").write_text("".join(json.dumps(event) + "\n" for event in book.events))
    return tmp_path


def test_status_shows_what_the_live_table_shows(searched):
    """Front, rungs and states stand there, and that no process works on the run, whose search was interrupted."""
    text = asc("status", searched).stdout
    assert "Search: 4 of 4 trials, 30 epochs" in text
    assert "1 running, 1 paused, 2 finished" in text
    assert "no process is working on this run; its search was interrupted" in text
    assert "t1 14 70.0 % 99" in " ".join(text.split())
    assert "left" not in text
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_status_says_what_failed_and_where_the_tracebacks_are(searched):
    """A trial's reason stands in its table, a retraining's below it; both stand in the JSON."""
    book = Book()("trial_ended", "t3", state="failed", reason="out of memory")
    book("candidate_failed", candidate="t1-s0", reason="its process died.")
    with (searched / "ledger.jsonl").open("a") as ledger:
        ledger.writelines(json.dumps(event) + "\n" for event in book.events)
    RunDirectory(searched).keep_failure("t1-s0/inner/2", "Traceback")
    said = asc("status", searched)
    assert "failed, 1 ×: out of memory" in said.stdout
    assert "failed: t1-s0: its process died" in said.stderr
    assert f"Tracebacks: {searched / 'failures'}" in said.stdout
    assert [path.name for path in (searched / "failures").iterdir()] == ["t1-s0-inner-2.txt"]
    failed = json.loads(asc("status", searched, "--json").stdout)["failed"]
    assert failed == {"t3": "out of memory", "t1-s0": "its process died"}


def test_status_as_json_tells_the_same(searched):
    """States, front and what is left are fields; --json goes with one look only."""
    table = json.loads(asc("status", searched, "--json").stdout)
    assert table["states"] == {"running": 1, "paused": 1, "finished": 2}
    assert table["is_running"] is False
    assert [trial["trial_id"] for trial in table["search"]["front"]] == ["t1"]
    assert "--json prints once" in asc("status", searched, "--json", "--follow", code=2).stderr


@pytest.mark.system
def test_a_followed_run_is_shown_until_its_driver_ends(searched):
    """While another process holds the run, --follow waits and reads on; a pipe gets a line, then the end's table."""
    with Ledger.open_for_writing(searched / "ledger.jsonl") as ledger:
        follower = subprocess.Popen([*ASC, "status", "-f", str(searched)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        first = [follower.stdout.readline() for _ in range(2)]
        ledger.append("trial_ended", trial_id="t3", state="failed", reason="out of memory")
        ledger.append("session_ended", reason="done")
        assert follower.poll() is None
    rest = follower.communicate()[0]
    assert follower.returncode == 0
    assert "1 running" in first[1]
    assert "its last search: done" in rest
    assert "failed, 1 ×: out of memory" in rest


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe", b"fold: [", b"\0\0", b"a: " + b"[" * 1000])
@pytest.mark.parametrize("command", ["status", "ensemble", "submit", "report", "retrain"])
def test_a_damaged_configuration_of_a_run_is_named_with_the_way_out(command, content, tmp_path):
    """Empty, another type, no text, cut short, NUL bytes, nested: each command names the file, and changes nothing."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_bytes(content)
    message = " ".join(asc(command, tmp_path / "run", code=1).stderr.split())
    assert "config.yaml" in message
    assert "Restore it from a copy, or delete it and rerun the command that started the run" in message
    assert (tmp_path / "run" / "config.yaml").read_bytes() == content


@pytest.mark.parametrize("command", ["ensemble", "submit"])
def test_files_of_a_run_that_another_works_on_are_not_replaced(command, tmp_path):
    """While a process has the run, ensemble and package are its to write."""
    run = RunDirectory(tmp_path / "run")
    open_run(run, read_run_config("demo"))
    with Ledger.open_for_writing(run.ledger_path):
        done = asc(command, run.root, code=1)
    assert "another asc process is working on this run" in done.stderr


@pytest.mark.system
@pytest.mark.parametrize("arguments", [("config", "show"), ("--version",), ("describe", "cao2021-system4", "--json")])
def test_an_output_that_cannot_be_written_is_told(arguments):
    """Standard output on a full disk: one sentence and exit code 1, also where it fails at the very end."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([*ASC, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the output cannot be written: No space left on device")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.system
def test_a_current_folder_that_is_gone_is_told(tmp_path):
    """Deleted under the shell: one sentence, from a command that needs it."""
    (tmp_path / "gone").mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); from search.cli.main import main; main()"
    command = [sys.executable, "-c", code, "doctor", "--storage", "relative"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path / "gone", env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "the current folder no longer exists" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--storage", "--shards"])
def test_a_secret_on_the_command_line_goes_nowhere(tmp_path, option):
    """Credentials in a URI are refused before anything is written, and are not in the message."""
    uri, options = "s3://KEY:HUSH@sets/x", {"--shards": tmp_path, "--out": tmp_path / "run"}
    arguments = [part for pair in (options | {option: uri}).items() for part in pair]
    answer = asc("search", "demo", *arguments, code=1)
    assert "contains credentials" in " ".join(answer.stderr.split())
    assert "HUSH" not in answer.stdout + answer.stderr
    assert not (tmp_path / "run").exists()
