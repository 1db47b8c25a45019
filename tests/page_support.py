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
        self.alts += [str(values.get("alt"))] if tag == "img" and values.get("class") != "dark" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


class Tables(HTMLParser):
    """Collects each table: its caption, and (tag, scope) of the cells of each row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.captions: list[str] = []
        self.rows: list[list[tuple[str, str | None]]] = []
        self._in_caption = False
        self.n_tables = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.n_tables += 1
        elif tag == "caption":
            self._in_caption = True
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append((tag, dict(attrs).get("scope")))

    def handle_endtag(self, tag: str) -> None:
        self._in_caption = self._in_caption and tag != "caption"

    def handle_data(self, data: str) -> None:
        if self._in_caption:
            self.captions.append(data)


def assert_tables_name_themselves(page: str, n_at_least: int) -> None:
    """Each table has a caption of its own; its header cells say whether they are of a column or a row."""
    found = Tables(page.partition("<script>")[0])
    assert found.n_tables >= n_at_least
    assert len(found.captions) == len(set(found.captions)) == found.n_tables
    assert all(len(caption) > 6 for caption in found.captions)
    for row in filter(None, found.rows):
        heads = [scope for tag, scope in row if tag == "th"]
        assert heads in (["row"], ["col"] * len(row)), row
