"""Where the files of a run lie."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_support import modules, parsed

from data_prep.errors import RunError
from results.rundir import CrossvalDirectory, RunDirectory

REPOSITORY = Path(__file__).parents[2]
OWNER = REPOSITORY / "results" / "rundir.py"
NAMING = {"joinpath", "with_name", "location_inside"}
"""Functions that, like `/`, take the name of a file or folder."""


def _joined(tree: ast.AST) -> Iterator[tuple[int, ast.expr, ast.expr]]:
    """Yield (line, what is joined to, what is joined) of every path that is put together in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield node.lineno, node.left, node.right
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in NAMING:
                base = node.func.value if isinstance(node.func, ast.Attribute) else node.args[0]
                yield from ((node.lineno, base, argument) for argument in node.args)


def _texts(tree: ast.AST) -> set[str]:
    """Return the string constants of a module, docstrings aside."""
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in bare)
    return {node.value for node in constants if isinstance(node.value, str)}


def _known_names() -> set[str]:
    """Return the names of files and folders that `results.rundir` knows."""
    from results import rundir

    joined = {part.value for _, _, part in _joined(ast.parse(OWNER.read_text())) if isinstance(part, ast.Constant)}
    shared = (rundir.CANDIDATES, rundir.SHARDS, rundir.METRICS, rundir.SUMMARY)
    return {*joined, *shared, rundir.CONFIG, rundir.MODEL, rundir.CARD}


def _breaches(tree: ast.Module, known: set[str]) -> list[str]:
    """Return where a module names a file or folder of a run itself."""
    found = [f"{text!r} is a file of a run" for text in sorted(_texts(tree) & known) if "." in text]
    for line, base, part in _joined(tree):
        is_of_run = isinstance(base, ast.Attribute) and (base.attr == "root" or base.attr.endswith("_dir"))
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            if is_of_run or known & {part.value, *part.value.split("/")}:
                found.append(f"line {line} joins {part.value!r}")
        elif is_of_run and isinstance(part, ast.JoinedStr):
            found.append(f"line {line} joins a name to {ast.unparse(base)}")
    return found


def test_only_the_run_directory_names_the_files_of_a_run():
    """No other module of results and search writes down a name of a run's files, or joins one to a run's folder."""
    known = _known_names()
    assert {"ledger.jsonl", "optuna-journal.log", "index.html", "checkpoints", "candidates", "config.yaml"} <= known
    found = modules("results", "search")
    assert len(found) > 50
    storage = REPOSITORY / "results" / "storage" / "storage.py"  # has a layout that is not the run directory's
    breaches = {
        str(path.relative_to(REPOSITORY)): named
        for path in found
        if path not in (OWNER, storage)
        and path.parent.name != "examples"  # which write what a user would
        and (named := _breaches(parsed(path), known))
    }
    assert breaches == {}


@pytest.mark.parametrize(
    "source",
    [
        'run.root / "notes.txt"',
        'path = out / "shards"',
        'LEDGER = "ledger.jsonl"',
        'run.submission_dir / f"{stem}.zip"',
        'path.with_name("summary.json")',
        'location_inside(location, "candidates")',
        'run.root / "search/optuna-journal.log"',
    ],
)
def test_the_rule_on_names_sees_each_way_to_name_a_file(source: str):
    """Whichever way a module names a file of a run, the rule above finds it; other names are free."""
    assert _breaches(ast.parse(source), _known_names())
    free = 'folder / "presets"; "summary"; folder / f"{name}.csv"; a / b'
    assert not _breaches(ast.parse(free), _known_names())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fold: 1\nfold: 2\n", "line 2, column 1: not YAML: the key 'fold' is given twice"),
        ("fold: [", "not YAML"),
        ("", "must be a mapping of sections, is empty"),
        ("- fold", "must be a mapping of sections, is a list"),
    ],
)
def test_a_damaged_configuration_is_refused(tmp_path: Path, text: str, reason: str):
    """A run's configuration with a key that stands twice, no YAML, or nothing in it is an error that names the file."""
    run = RunDirectory(tmp_path)
    run.config_path.write_text(text)
    with pytest.raises(RunError) as error:
        run.read_config()
    assert str(error.value).startswith(str(run.config_path))
    assert reason in str(error.value)


def test_a_traceback_that_cannot_be_written_hides_no_failure(tmp_path: Path):
    """A file where the folder must be, as a full disk would: the caller goes on to report what failed."""
    run = RunDirectory(tmp_path)
    run.failures_dir.touch()
    run.keep_failure("t0001/s0", "Traceback")
    run.failures_dir.unlink()
    run.keep_failure("t0001/s0", "Traceback")
    assert (run.failures_dir / "t0001-s0.txt").read_text() == "Traceback"


def test_only_numbered_folders_are_folds(tmp_path: Path):
    """A copy that a user has kept next to a fold, or a file, is passed over."""
    for name in ("fold2", "fold10", "fold1.bak", "fold1²", "fold3"):
        (tmp_path / name).mkdir()
    (tmp_path / "fold4").touch()
    directory = CrossvalDirectory(tmp_path)
    assert list(directory.folds().items()) == [(fold, directory.fold(fold)) for fold in (2, 3, 10)]
