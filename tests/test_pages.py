"""What README and the pages of documentation say exists, exists; what they quote is in the reference tables."""

from __future__ import annotations

import csv
import json
import re
import statistics
from pathlib import Path

import pandas as pd
import pytest
from process_support import ROOT
from typer.testing import CliRunner

from search.cli.main import app
from search.config import shipped_configs

README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGES = ("data_prep", "asc_models", "results", "search")
PAGES = sorted(
    page.relative_to(ROOT)
    for pages in (
        ROOT.glob("*.md"),
        (ROOT / ".github").glob("*.md"),
        *((ROOT / name).rglob("*.md") for name in PACKAGES),
        (ROOT / "tests").rglob("*.md"),
    )
    for page in pages
    if page.relative_to(ROOT).parts[:2] != ("results", "runs")
)
BENCHMARKS = (ROOT / "tests/benchmarks/README.md").read_text(encoding="utf-8")
GROUPS = [("", app), *((f"{group.name} ", group.typer_instance) for group in app.registered_groups)]
COMMANDS = sorted(
    prefix + (command.name or command.callback.__name__)
    for prefix, part in GROUPS
    if part is not None
    for command in part.registered_commands
    if command.callback is not None
)


def read(page: Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_the_readme_is_short():
    """A reader has the README in five minutes: it has about 900 words."""
    assert 700 < len(README.split()) < 1050


def test_the_table_of_commands_is_complete():
    """Every command of `asc` has a row, and every row a command."""
    rows = re.findall(r"^\| `asc ([a-z]+(?: [a-z]+)?)", README, re.MULTILINE)
    assert sorted(rows) == COMMANDS


def test_the_options_that_pages_name_exist():
    """Each --option after an `asc` command in a page is an option of that command or of `asc`."""
    help_of = {
        name: CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"}).stdout for name in COMMANDS
    }
    longest_first = "|".join(sorted(COMMANDS, key=len, reverse=True))
    text = "\n".join(read(page) for page in PAGES).replace("\\\n", " ")
    uses = re.findall(rf"asc ({longest_first})\b([^`\n|#]*)", text)
    named = [(name, option) for name, rest in uses for option in re.findall(r"--[a-z-]+", rest)]
    assert len(named) > 30
    assert [(name, option) for name, option in named if option not in help_of[name]] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_that_a_page_links_to_exists(page):
    """Pictures and links lead somewhere, relative to the page that has them."""
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", read(page))
    assert [target for target in targets if not (ROOT / page.parent / target).exists()] == []


def test_every_page_is_linked_from_the_readme():
    """A page that nobody finds is no documentation."""
    linked = set(re.findall(r"\]\((?!http)([^)#]+\.md)\)", README))
    apart = {"README.md", "CHANGELOG.md"}
    pages = {str(page) for page in PAGES if page.parts[:2] != ("results", "reference")}
    assert pages - apart == {page for page in linked if not page.startswith("results/reference/")}


def test_every_make_target_that_pages_name_exists():
    """`make demo`, `make test` and the others are targets of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = "\n".join(read(page) for page in PAGES)
    named = set(re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", text, re.MULTILINE))
    assert {"demo", "test"} <= {one or other for one, other in named} <= targets


def test_the_table_of_shipped_configurations_is_complete():
    """Every shipped configuration has a row, and every row a configuration."""
    table = README.partition("| shipped | contents |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE)
    assert sorted(rows) == sorted(shipped_configs())


def test_every_benchmark_that_a_page_names_exists():
    """Scripts of tests/benchmarks are named as they are called, and each has its place on the page."""
    named = set(re.findall(r"tests/benchmarks/([a-z_]+\.py)", "\n".join(read(page) for page in PAGES)))
    assert len(named) > 8
    assert named <= {script.name for script in (ROOT / "tests/benchmarks").glob("*.py")}


def read_table(path: str) -> list[dict[str, str]]:
    with (ROOT / "results/reference" / path).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_five_folds_are_those_of_the_reference_tables():
    """README's sentence and the table of folds quote results/reference/esc10-5fold; the shorter ones theirs."""
    (system,) = read_table("esc10-5fold/tables/systems.csv")
    low, high = (f"{100 * float(system[f'macro_accuracy_{end}']):.1f}" for end in ("low", "high"))
    for page in (README, BENCHMARKS):
        text = " ".join(page.split())
        assert f"{100 * float(system['macro_accuracy']):.2f} % (95 % interval {low}–{high} %)" in text
        assert f"{int(system['weight_bytes']):,} bytes" in text
    assert f"files of {int(system['file_bytes']):,} bytes" in BENCHMARKS
    assert int(system["weight_bytes"]) <= 128_000
    (shorter,) = read_table("esc10-5fold-128k/tables/systems.csv")
    mean, sd = (f"{100 * float(shorter[f'macro_accuracy{end}']):.1f}" for end in ("", "_sd"))
    assert f"the mean is {mean} ± {sd} %" in BENCHMARKS
    quoted = re.findall(r"^\| (384,000|128,000)[^|]*\| (\d) \|(.*)\|$", BENCHMARKS, re.MULTILINE)
    for n_windows, seed, cells in quoted:
        folder = "esc10-5fold" if n_windows == "384,000" else "esc10-5fold-128k"
        of_seed = [row for row in read_table(f"{folder}/tables/folds.csv") if row["seed"] == seed]
        values = [100 * float(row["macro_accuracy"]) for row in sorted(of_seed, key=lambda row: int(row["fold"]))]
        expected = [*values, sum(values) / 5]
        assert [cell.strip() for cell in cells.split("|")] == [f"{value:.2f} %" for value in expected]
    assert len(quoted) == 4


def test_the_found_network_has_the_accuracies_of_the_reference_tables():
    """Every row of the page is that of results/reference/esc10-found."""
    rows = {
        "": "384,000, that of `esc10`",
        "129k/": "129,024, warm restarts",
        "64k/": "five blocks of 56, expansion 2",
        "16k/": "blocks of 16, 24 and 32, 5 × 5, CASAM; mean of four seeds",
    }
    for folder, begins in rows.items():
        (system,) = read_table(f"esc10-found/tables/{folder}systems.csv")
        shares = [100 * float(system[name]) for name in (*(f"fold_{fold}" for fold in range(1, 6)), "macro_accuracy")]
        low, high = (100 * float(system[f"macro_accuracy_{end}"]) for end in ("low", "high"))
        cells = [f"{share:.2f} %" for share in shares] + [f"{low:.1f}–{high:.1f} %", f"{float(system['log_loss']):.3f}"]
        assert f"| {begins} | {' | '.join(cells)} |" in BENCHMARKS
    for row in read_table("esc10-found/tables/16k/ensembles.csv"):
        accuracy, low, high = (100 * float(row[f"macro_accuracy{end}"]) for end in ("", "_low", "_high"))
        gain = "{:+.2f} ({:.2f}–{:.2f})".format(*(100 * float(row[f"gain{end}"]) for end in ("", "_low", "_high")))
        sizes = f"{row['n_members']} | {int(row['weight_bytes']):,} | {int(row['file_bytes']):,}"
        scores = f"{accuracy:.2f} % | {low:.1f}–{high:.1f} % | {gain} | {float(row['log_loss']):.3f}"
        assert f"| {sizes} | {scores} |" in BENCHMARKS
    seeds: dict[str, list[float]] = {}
    for row in read_table("esc10-found/tables/16k/folds.csv"):
        seeds.setdefault(row["seed"], []).append(float(row["macro_accuracy"]))
    *most, last = (f"{100 * sum(shares) / len(shares):.2f}" for shares in seeds.values())
    assert f"have {', '.join(most)} and {last} %" in BENCHMARKS
    for table, networks in (("systems", "1, mean of two seeds"), ("ensembles", "2, the seeds together")):
        (row,) = read_table(f"esc10-found/branches/384k/{table}.csv")
        shares = [100 * float(row[name]) for name in (*(f"fold_{fold}" for fold in range(1, 6)), "macro_accuracy")]
        low, high = (100 * float(row[f"macro_accuracy_{end}"]) for end in ("low", "high"))
        cells = [f"{int(row['weight_bytes']):,}", *(f"{share:.2f} %" for share in shares), f"{low:.1f}–{high:.1f} %"]
        assert f"| {networks} | {' | '.join(cells)} | {float(row['log_loss']):.3f} |" in BENCHMARKS
    for row in read_table("esc10-found/ingredients/inner_systems.csv"):
        name = row["system"].removesuffix("-full").replace("-", " ").replace("stretch", "time stretching")
        accuracy, low, high = (100 * float(row[f"macro_accuracy{end}"]) for end in ("", "_low", "_high"))
        assert f"{name:20s}{accuracy:10.1f}{low:10.1f}{high:6.1f}{float(row['log_loss']):7.3f}\n" in BENCHMARKS
    joint = {
        "large": read_table("esc10-found/joint/systems.csv")[0],
        "small, mean of two": read_table("esc10-found/joint/systems.csv")[1],
        "small, both": read_table("esc10-found/joint/ensembles.csv")[0],
        "all three": read_table("esc10-found/joint/ensembles.csv")[1],
    }
    for networks, row in joint.items():
        shares = [100 * float(row[name]) for name in (*(f"fold_{fold}" for fold in range(1, 6)), "macro_accuracy")]
        low, high = (100 * float(row[f"macro_accuracy_{end}"]) for end in ("low", "high"))
        cells = [f"{int(row['weight_bytes']):,}", *(f"{share:.2f} %" for share in shares), f"{low:.1f}–{high:.1f} %"]
        losses = f"{float(row['log_loss']):.3f} | {float(row['calibrated_loss']):.3f}"
        assert f"| {networks} | {' | '.join(cells)} | {losses} |" in BENCHMARKS
    (system,) = read_table("esc10-found/tables/systems.csv")
    both = [float(one["macro_accuracy"]) for one in (system, joint["large"])]
    size, file = int(system["weight_bytes"]), int(system["file_bytes"])
    text = " ".join(BENCHMARKS.split())
    assert f"{size:,} bytes of weights, and a file of {file:,} bytes" in text
    assert f"so that the mean of both is {50 * sum(both):.1f} %" in text


def test_the_further_ingredients_have_the_scores_of_the_reference_tables():
    """Each row of the page: scores out of fold, and their paired differences to the whole recipe."""
    second = {row["system"]: row for row in read_table("esc10-found/ingredients/second/inner_differences.csv")}
    called = {
        "all": "all",
        "frequency-channel": "with a frequency channel",
        "one-branch": "one branch instead of three",
    }
    for row in read_table("esc10-found/ingredients/second/inner_systems.csv"):
        name, paired = row["system"].removesuffix("-full"), second.get(row["system"])
        cells = [called.get(name, name.replace("no-shift", "no-frequency shift").replace("-", " "))]
        cells += [f"{100 * float(row['macro_accuracy']):.1f} %"]
        cells += [f"{float(row[score]):.3f}" for score in ("log_loss", "calibrated_loss")]
        if paired is not None:
            points, nats = (
                [float(paired[f"{score}{end}"]) for end in ("", "_low", "_high")]
                for score in ("macro_accuracy", "calibrated_loss")
            )
            cells += ["{:+.1f} ({:.1f} to {:.1f})".format(*(100 * value for value in points))]
            cells += ["{:+.3f} ({:.3f} to {:.3f})".format(*nats)]
        assert f"| {' | '.join(cells)} |".replace("-", "−") in BENCHMARKS
    called = {"8": "8", "12": "12", "8-channel": "8, with a frequency channel"}
    for row in read_table("esc10-found/ingredients/shift/inner_systems.csv"):
        name = called[row["system"].removeprefix("shift-").removesuffix("-full")]
        losses = [f"{float(row[score]):.3f}" for score in ("log_loss", "calibrated_loss")]
        assert f"| {name} | {100 * float(row['macro_accuracy']):.1f} % | {' | '.join(losses)} |" in BENCHMARKS


def test_the_peers_of_the_search_have_the_values_of_the_reference_rows():
    """Hypervolume, regret and time of a proposal of the page's table are means of results/reference/search-tasks."""
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_table("search-tasks/peers.csv"):
        rows.setdefault(row["method"], []).append(row)
    assert {len(of_method) for of_method in rows.values()} == {12}
    names = {
        "front + pareto": "`front` + `pareto`, the default",
        "botorch-nehvi + none": "BoTorch, qLogNEHVI",
        "optuna-gp + none": "Optuna's GPSampler",
        "front + none": "`front` without halving",
        "smac-forest + none": "SMAC3's forest, our hypervolume",
        "random + none": "random without halving",
        "mo-asha": "Syne Tune's MO-ASHA",
    }
    for method, name in names.items():
        volume, regret, third, ms = (
            sum(float(row[column]) for row in rows[method]) / 12
            for column in ("volume_all", "regret_all", "volume_third", "ms_a_proposal")
        )
        (line,) = (line for line in BENCHMARKS.splitlines() if line.startswith(f"| {name} |"))
        cells = [cell.strip().split(" (")[0] for cell in line.split("|")[2:-1]]
        expected = [f"{volume:.3f}", f"{100 * regret:.1f}".replace("-", "−"), f"{third:.3f}", f"{ms:,.0f}"]
        assert [*cells[:3], cells[4]] == expected, method


def test_what_training_for_int4_gives_is_in_the_reference_tables():
    """Each row: scores out of fold, and their paired differences to int8."""
    called = {"int8": "int8", "trained-for-int4": "int4, trained for it", "int4": "int4, after the training"}
    paired = {row["system"]: row for row in read_table("esc10-found/int4/inner_differences.csv")}
    scores = ("log_loss", "calibrated_loss")
    for row in read_table("esc10-found/int4/inner_systems.csv"):
        name = row["system"].removesuffix("-full")
        cells = [called[name], "93,176" if name == "int8" else "55,544", f"{100 * float(row['macro_accuracy']):.1f} %"]
        cells += [f"{float(row[score]):.3f}" for score in scores]
        for score in scores if row["system"] in paired else ():
            found = [float(paired[row["system"]][f"{score}{end}"]) for end in ("", "_low", "_high")]
            cells += ["{:+.3f} ({:.3f} to {:.3f})".format(*found)]
        assert f"| {' | '.join(cells)} |".replace("-", "−") in BENCHMARKS


def test_what_a_prior_gives_is_in_the_reference_rows():
    """Hypervolume with and without a search of another task, and their paired difference with its error over tasks."""
    rows = {(row["method"], row["task"]): row for row in read_table("search-tasks/prior.csv")}
    tasks = sorted({task for _, task in rows})
    text = " ".join(BENCHMARKS.split())
    for column, joined in (
        ("volume_third", "has {0:.3f} instead of {1:.3f}"),
        ("volume_all", "{0:.3f} instead of {1:.3f}"),
    ):
        after, plain = (
            [float(rows[method, task][column]) for task in tasks]
            for method in ("front-after + pareto", "front + pareto")
        )
        assert joined.format(statistics.mean(after), statistics.mean(plain)) in text
        gains = [one - other for one, other in zip(after, plain, strict=True)]
        error = statistics.stdev(gains) / len(tasks) ** 0.5
        assert f"{statistics.mean(gains):+.3f} ± {error:.3f})".replace("-", "−") in text
    assert f"({len(tasks)} tasks; +" in text


def test_what_a_search_by_inner_folds_selects_is_in_the_reference_tables():
    """Trials, test accuracy and bytes of both ways on every fold, their means and the paired difference."""
    rows = {(row["way"], row["fold"]): row for row in read_table("inner-search/rows.csv")}
    systems = {row["system"]: row for row in read_table("inner-search/systems.csv")}
    (paired,) = read_table("inner-search/differences.csv")
    folds = sorted({fold for _, fold in rows})
    lines = {
        "trials a search": [f"{rows[way, folds[0]]['trials']}" for way in systems],
        "epochs of all searches": [f"{sum(int(rows[way, fold]['epochs']) for fold in folds):,}" for way in systems],
    }
    for fold in folds:
        lines[f"fold {fold}"] = [
            f"{100 * float(row[f'fold_{fold}']):.2f} % ({int(rows[way, fold]['weight_bytes']):,} bytes)"
            for way, row in systems.items()
        ]
    for name, score, form in (
        ("mean", "macro_accuracy", "{:.2f} %"),
        ("log loss", "log_loss", "{:.3f}"),
        ("calibrated", "calibrated_loss", "{:.3f}"),
    ):
        scale = 100 if "%" in form else 1
        lines[name] = [form.format(scale * float(row[score])) for row in systems.values()]
    for name, cells in lines.items():
        assert f"| {name} | {' | '.join(cells)} |" in BENCHMARKS
    ends = [float(paired[f"macro_accuracy{end}"]) for end in ("", "_low", "_high")]
    text = "{:+.1f} points ({:.1f} to {:.1f})".format(*(100 * end for end in ends)).replace("-", "−")
    assert f"out of fold minus validation split, paired: {text}" in " ".join(BENCHMARKS.split())


def test_networks_that_the_search_finds_are_those_of_the_reference_tables():
    """Each fold's row, the means, and README's sentence, from the probabilities of the tested clips."""
    rows = {int(row["fold"]): row for row in read_table("inner-search/long/rows.csv")}
    table = pd.read_parquet(ROOT / "results/reference/inner-search/long/predictions.parquet")
    right = table.filter(regex="^p_").idxmax(axis=1).str.removeprefix("p_") == table["scene"]
    scores = 100 * right.groupby([table["fold"], table["seed"]]).mean().unstack()  # noqa: PD010 - fold × seed
    for fold, row in rows.items():
        stages = ", ".join(str(stage["filters"]) for stage in json.loads(row["network"])["stages"])
        sizes = f"{int(row['weight_bytes']):,} | {json.loads(row['metrics'])['file_bytes']:,}"
        seeds = " | ".join(f"{score:.2f} %" for score in scores.loc[fold])
        assert f"| {fold} | blocks of {stages} filters | {sizes} | {seeds} |" in BENCHMARKS
    assert f"| mean | | | | {' | '.join(f'{mean:.2f} %' for mean in scores.mean())} |" in BENCHMARKS
    (system,) = read_table("inner-search/long/systems.csv")
    accuracy, low, high, sd = (100 * float(system[f"macro_accuracy{end}"]) for end in ("", "_low", "_high", "_sd"))
    interval = f"{accuracy:.2f} % (95 % interval {low:.1f}–{high:.1f} %)"
    losses = f"log loss {float(system['log_loss']):.3f} (calibrated {float(system['calibrated_loss']):.3f})"
    largest = f"{int(system['weight_bytes']):,} bytes"
    text = f"{interval}, ± {sd:.1f} points between the seeds, {losses}, in at most {largest}"
    assert text in " ".join(BENCHMARKS.split())
    assert f"side alone: {interval}, two seeds, in at most {largest}." in " ".join(README.split())


def test_what_the_page_says_of_int8_is_in_the_reference_table():
    """The range of agreement and the largest losses of full int8 are those of the table of export modes."""
    with (ROOT / "results/reference/quantization/quantization.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["mode"] == "int8"]
    agreement = [100 * float(row["agreement"]) for row in rows]
    drop = max(float(row["drop_points"]) for row in rows)
    rise = max(float(row["log_loss"]) - float(row["log_loss_network"]) for row in rows)
    text = " ".join(BENCHMARKS.split())
    assert f"on {min(agreement):.1f} to {max(agreement):.1f} % of them" in text
    assert f"at most {drop:.1f} points lower, its log loss at most {rise:.4f} higher" in text
