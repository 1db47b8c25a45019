"""Printed strings are plain technical English: words that readers of such tools don't know do not occur in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from process_support import ROOT
from source_support import PACKAGES, modules, parsed

PLAIN = {
    r"anew": "again",
    r"beside": "next to",
    r"told|tells?|tells \w+ apart": "report, classify",
    r"heard|hears?": "trained on, recorded",
    r"stands?": "is",
    r"mend(?:s|ed)?": "fix, correct",
    r"of (?:its|their) own": "separate",
    r"come to|comes to": "add up to",
    r"where there": "if there",
    r"none .* to be had": "there is no",
    r"give (?:the same command|`asc [^`]*`) again": "rerun",
    r"goes? on": "continue",
    r"sweep": "search",
    r"is called that": "unknown",
}
"""{pattern of words: what to write instead}."""
BANNED = re.compile("|".join(rf"\b(?:{words})\b" for words in PLAIN))


def printed(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and text of all strings with a blank, apart from docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            pieces = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(map(str, pieces))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | parts:
            yield node.lineno, node.value


def banned(text: str) -> list[str]:
    """Return the banned words of a text; a string without a blank is an identifier."""
    return [found[0] for found in BANNED.finditer(text.lower())] if " " in text.strip() else []


@pytest.mark.parametrize("text", ["the file tells 10 scenes apart", "Give the same command again.", "{}: stands in {}"])
def test_the_words_are_found(text):
    """Also at the start of a sentence and in the strings of f-strings."""
    assert banned(text)


@pytest.mark.parametrize("package", PACKAGES)
def test_printed_strings_have_no_such_words(package):
    """PLAIN says what to write instead."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in modules(package)
        for line, text in printed(parsed(path))
        for word in banned(text)
    ]
    assert found == []


@pytest.mark.parametrize("name", ["report/report.html.j2", "comparison/compare.html.j2", "crossval/crossval.html.j2"])
def test_the_pages_have_no_such_words(name):
    """The template's text, without its style sheet."""
    template = (ROOT / "results" / name).read_text(encoding="utf-8").partition("</style>")[2]
    assert len(template) > 1000
    assert banned(template) == []


def test_class_names_are_unique():
    """No two public classes of the four packages share a name."""
    names = [node.name for path in modules() for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]
    assert len(names) > 200
    assert sorted({name for name in names if names.count(name) > 1}) == []
