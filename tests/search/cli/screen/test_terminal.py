"""Whatever a name holds, the terminal shows it and obeys none of it."""

from __future__ import annotations

import pytest

from search.cli.screen.stage_log import StageLog
from search.cli.screen.terminal import Terminal

NAME = "[red]=x[/red] :smile: \x1b[2J\x9b31m\u202e{{ 7 * 7 }}\udcff"
SHOWN = "[red]=x[/red] :smile: \\x1b[2J\\x9b31m\\u202e{{ 7 * 7 }}\\udcff"


def test_messages_show_names_as_they_are(capsys):
    """Neither controls nor markup nor emoji codes of a name act; a message keeps its lines."""
    screen = Terminal()
    for show in (screen.say, screen.note, screen.warn, screen.error, screen.paragraph):
        show(f"first\n{NAME}")
        out, err = capsys.readouterr()
        assert (out + err).endswith(f"first\n{SHOWN}\n")


@pytest.mark.parametrize("width", [30, 80, 200])
def test_numbers_are_whole_at_any_width(capsys, monkeypatch, width):
    """A table that does not fit is printed in parts with the first column; headings wrap, numbers never do."""
    monkeypatch.setenv("COLUMNS", str(width))
    headings = ["scene", "clips", *(f"t{n:04d}-s0 (published elsewhere)" for n in range(9))]
    numbers = [[f"{1000.5 + 10 * row + column:,.1f}" for column in range(10)] for row in range(2)]
    Terminal().table("by scene", headings, [["street traffic", *numbers[0]], ["average", *numbers[1]]])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    for name, row in (("street traffic", numbers[0]), ("average", numbers[1])):
        found = [line.removeprefix(name).split() for line in lines if line.startswith(name)]
        assert [number for part in found for number in part] == row


def test_tables_show_names_as_they_are(capsys, monkeypatch):
    """Title, headings and cells are text; a name of several lines has one, and a long one leaves the numbers in."""
    monkeypatch.setenv("COLUMNS", "100")
    Terminal().table(NAME, [NAME, "n"], [["a\nb", 3], [NAME, 4]])
    title, heading, first, second, _ = capsys.readouterr().out.splitlines()
    assert title.strip() == SHOWN
    assert heading.split("  ")[0] == SHOWN
    assert first.split() == ["a\\nb", "3"]
    assert second.split()[-1] == "4"
    assert second.startswith(SHOWN)
    Terminal().table("long", ["name", "n"], [["x" * 10_000, 1234]])
    out = capsys.readouterr().out
    assert out.count("x") == 10_000
    assert "1,234" in out


def test_a_long_stage_is_followed_in_a_log():
    """A line after a minute, then every ten, with the time left at the rate of this call; short stages have none."""
    lines: list[str] = []
    now = 0.0
    log = StageLog("Train", "epochs", lines.append, clock=lambda: now)
    for now in range(0, 1400, 20):  # an epoch in 20 s, after 100 of an earlier call
        log.update(100 + int(now) // 20, 1000)
    log.update(1000, 1000)
    assert lines == [
        "Train: 103 of 1,000 epochs (10%), about 4 h 59 min left",
        "Train: 133 of 1,000 epochs (13%), about 4 h 49 min left",
        "Train: 163 of 1,000 epochs (16%), about 4 h 39 min left",
    ]
