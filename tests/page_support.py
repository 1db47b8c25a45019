"""Pages of reports, and a reader of HTML pages, for the tests of what is rendered."""

from __future__ import annotations

from html.parser import HTMLParser

from results.report.data import read_run_data
from results.report.page import write_run_page
from results.report.tables.all import all_tables, write_tables
from results.rundir import RunDirectory


def page_without_figures(run: RunDirectory) -> str:
    """Return the report's page, written with its tables but without figures: drawing takes nearly all of its time."""
    data = read_run_data(run)
    write_tables(all_tables(data), run.tables_dir)
    write_run_page(run, data, {})
    return written_page(run)


def written_page(run: RunDirectory) -> str:
    """Return the report's page as it lies on disk."""
    return run.page_path.read_text(encoding="utf-8")


def without_scripts(text: str) -> str:
    """Return a page without its two scripts, the plot's library and its data, which end it."""
    assert text.count("<script>") in (0, 2)
    return text.partition("<script>")[0]


class PageReader(HTMLParser):
    """Collects what a page loads, its ids, its alternative texts, and whether its tags nest."""

    VOID = frozenset({"meta", "img", "source", "link", "br", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.alts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [str(values[key]) for key in ("src", "srcset", "href") if key in values]
        self.ids += [str(values["id"])] if "id" in values else []
        self.alts += [str(values.get("alt"))] if tag == "img" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
