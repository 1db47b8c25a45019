"""A reader of HTML pages, for the tests of what is rendered."""

from __future__ import annotations

from html.parser import HTMLParser


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
