"""In Chromium, the report's page shows its figures, tables and plot, and they answer."""

import re
import subprocess
from pathlib import Path

import pytest
from browser_support import chromium
from page_support import written_page

from results.report.data import read_run_data
from results.report.pareto_view import pareto_view
from results.rundir import RunDirectory

pytestmark = pytest.mark.system


def browse(profile: Path, page: Path, *options: str) -> str:
    command = [
        *(chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
        *("--disable-dev-shm-usage", f"--user-data-dir={profile}", *options, page.as_uri()),
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=180).stdout


@pytest.mark.browser
def test_a_browser_shows_figures_and_tables(whole: RunDirectory, tmp_path: Path) -> None:
    """In Chromium every picture decodes to its full size, every table has rows, and the screen is not blank."""
    page = whole.report_dir / "index.html"
    probe = tmp_path / "probe.html"
    script = (
        "<script>addEventListener('load', () => { document.querySelectorAll('img.light').forEach(image => "
        "image.setAttribute('data-shown', image.complete + ' ' + image.naturalWidth + ' ' + image.clientWidth)) })"
        "</script></body>"
    )
    probe.write_text(script.join(page.read_text(encoding="utf-8").rsplit("</body>", 1)), encoding="utf-8")
    dom = browse(tmp_path / "profile", probe, "--dump-dom", "--window-size=1200,900")
    shown = re.findall(r'data-shown="true (\d+) (\d+)"', dom)
    assert len(shown) == 8  # the front's picture is folded up: its plot is drawn instead
    assert all(int(natural) > 400 and int(wide) > 400 for natural, wide in shown)
    for table in ("candidates", "by-scene", "published"):
        body = dom.split(f'id="table-{table}"')[1].split("</table>")[0]
        assert body.count("<tr") >= 4
    picture = tmp_path / "screen.png"
    browse(tmp_path / "profile", page, f"--screenshot={picture}", "--window-size=1200,2000", "--hide-scrollbars")
    from matplotlib.image import imread

    pixels = imread(picture)
    assert pixels.shape[:2] == (2000, 1200)
    assert len({tuple(pixel) for pixel in pixels[::40, ::40, :3].reshape(-1, 3).round(2).tolist()}) > 8


@pytest.mark.browser
def test_the_table_of_trials_is_sorted_and_filtered(whole: RunDirectory, tmp_path: Path) -> None:
    """In Chromium: all trials by accuracy; by bytes after clicks; those that a word names after typing."""
    script = """<script>addEventListener("load", () => {
      const box = document.getElementById("all-trials"), body = document.body;
      const cells = n => [...box.querySelectorAll("tbody tr")].map(row => row.cells[n].textContent).join(";");
      const heads = [...box.querySelectorAll("th button")];
      const bytes = heads.findIndex(one => one.textContent === "bytes of weights");
      body.dataset.count = box.querySelector("output").value;
      heads[bytes].click();
      body.dataset.down = cells(bytes);
      heads[bytes].click();
      body.dataset.up = cells(bytes);
      body.dataset.sort = heads[bytes].parentElement.getAttribute("aria-sort");
      const filter = box.querySelector("input");
      filter.value = "infeasible";
      filter.dispatchEvent(new Event("input"));
      body.dataset.kinds = cells(1);
    })</script></body>"""
    probe = tmp_path / "probe.html"
    probe.write_text(script.join(written_page(whole).rsplit("</body>", 1)), encoding="utf-8")
    dom = browse(tmp_path / "profile", probe, "--dump-dom", "--virtual-time-budget=3000")
    found = dict(re.findall(r'data-([a-z]+)="([^"]*)"', re.search(r"<body[^>]*>", dom)[0]))
    n_trials = len(read_run_data(whole).trials)
    assert found["count"] == f"{n_trials} of {n_trials} trials"
    down, up = ([int(cell.replace(",", "")) for cell in found[way].split(";") if cell != "–"] for way in ("down", "up"))
    assert len(up) > 20
    assert up == sorted(up) == down[::-1]
    assert found["sort"] == "ascending"
    assert found["kinds"].split(";") == ["infeasible"] * 7


@pytest.mark.browser
def test_the_plot_is_drawn_hovered_clicked_and_switched(whole: RunDirectory, tmp_path: Path) -> None:
    """In Chromium: a point per trial, a tooltip, the command of what is clicked, other axes, and no console message."""
    script = """<script>addEventListener("load", () => setTimeout(() => {
      const box = document.getElementById("pareto-view"), body = document.body;
      const points = () => box.querySelectorAll(".role-mark.mark-symbol path");
      const title = () => box.querySelector(".role-axis-title text, .role-axis-title").textContent;
      const point = points()[points().length - 1], at = point.getBoundingClientRect();
      const place = {bubbles: true, clientX: at.x + at.width / 2, clientY: at.y + at.height / 2};
      body.dataset.points = points().length;
      for (const kind of ["pointermove", "mousemove", "mousedown", "mouseup", "click"])
        point.dispatchEvent(new (kind[0] === "p" ? PointerEvent : MouseEvent)(kind, place));
      setTimeout(() => {
        body.dataset.command = box.querySelector("output").value;
        body.dataset.tooltip = document.getElementById("vg-tooltip-element").textContent;
        const x = box.querySelector("[name=x]");
        x.value = "macs";
        x.dispatchEvent(new Event("change"));
        setTimeout(() => { body.dataset.axis = title(); }, 800);
      }, 800);
    }, 800))</script></body>"""
    probe = tmp_path / "probe.html"
    probe.write_text(script.join(written_page(whole).rsplit("</body>", 1)), encoding="utf-8")
    log = tmp_path / "console.txt"
    dom = browse(
        tmp_path / "profile", probe, "--dump-dom", "--virtual-time-budget=8000", "--window-size=1200,1500",
        "--enable-logging", f"--log-file={log}",
    )  # fmt: skip
    found = dict(re.findall(r'data-([a-z]+)="([^"]*)"', re.search(r"<body[^>]*>", dom)[0]))
    view = pareto_view(read_run_data(whole))
    assert view is not None
    content = view["script"].split("\n", 1)[0]
    assert int(found["points"]) == content.count('"name":') + content.count('"slot":')  # the submitted have a ring
    assert found["command"].startswith("asc ")
    assert "macro accuracy" in found["tooltip"]
    assert found["axis"] == "multiply-accumulates"
    assert "CONSOLE" not in (log.read_text(errors="replace") if log.exists() else "")
