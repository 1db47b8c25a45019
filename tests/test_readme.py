"""What the README says exists, exists; what it quotes as measured is in the reference tables."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from typer.testing import CliRunner

from search.cli.main import app
from search.config import shipped_configs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GROUPS = [("", app), *((f"{group.name} ", group.typer_instance) for group in app.registered_groups)]
COMMANDS = sorted(
    prefix + (command.name or command.callback.__name__)
    for prefix, part in GROUPS
    if part is not None
    for command in part.registered_commands
    if command.callback is not None
)


def test_the_table_of_commands_is_complete():
    """Every command of `asc` has a row, and every row a command."""
    rows = re.findall(r"^\| `asc ([a-z]+(?: [a-z]+)?)", README, re.MULTILINE)
    assert sorted(rows) == COMMANDS


def test_the_options_it_names_exist():
    """Each --option beside an `asc` command in the README is an option of that command or of `asc`."""
    help_of = {
        name: CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"}).stdout for name in COMMANDS
    }
    uses = re.findall(rf"asc ({'|'.join(COMMANDS)})\b([^`\n|]*)", README)
    named = [(name, option) for name, rest in uses if name in help_of for option in re.findall(r"--[a-z-]+", rest)]
    assert len(named) > 5
    assert [(name, option) for name, option in named if option not in help_of[name]] == []


def test_every_make_target_it_names_exists():
    """`make demo`, `make test` and the others are targets of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= {one or other for one, other in named} <= targets


def test_the_table_of_shipped_configurations_is_complete():
    """Every shipped configuration has a row, and every row a configuration."""
    table = README.partition("| shipped | is |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE)
    assert sorted(rows) == sorted(shipped_configs())


def test_every_file_it_links_to_exists():
    """Pictures and links of the README lead somewhere."""
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_measured_candidates_are_those_of_the_reference_run():
    """Every number in the table of ESC-10 candidates is the reference run's own table's."""
    with (ROOT / "results/reference/esc10-fold1/tables/candidates.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    quoted = re.findall(r"^\| `(t\d+-s\d+)`([^|]*)\| (.*) \|$", README, re.MULTILINE)
    assert [(name, "selected" in mark) for name, mark, _ in quoted] == [
        (row["candidate"], row["selected"] == "True") for row in rows
    ]
    for (_, _, cells), row in zip(quoted, rows, strict=True):
        low, high = (100 * float(row[f"test_{end}"]) for end in ("low", "high"))
        assert cells.split(" | ") == [
            f"{int(row['nonzero_weight_bytes']):,}",
            f"{float(row['validation_log_loss']):.3f}",
            f"{100 * float(row['test_macro_accuracy']):.2f} %",
            f"{low:.1f}–{high:.1f} %",
            f"{float(row['test_log_loss']):.3f}",
        ]


def test_what_it_says_of_int8_is_in_the_reference_table():
    """The range of agreement and the largest losses of full int8 are those of the table of export modes."""
    with (ROOT / "results/reference/quantization/quantization.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["mode"] == "int8"]
    agreement = [100 * float(row["agreement"]) for row in rows]
    drop = max(float(row["drop_points"]) for row in rows)
    rise = max(float(row["log_loss"]) - float(row["log_loss_network"]) for row in rows)
    text = " ".join(README.split())
    assert f"on {min(agreement):.1f} to {max(agreement):.1f} % of them" in text
    assert f"at most {drop:.1f} points lower, its log loss at most {rise:.4f} higher" in text
