"""What failed in a run, and why."""

from __future__ import annotations

from ledger_support import Book

from results.ledger.failures import failures, first_failures


def test_what_failed_last_counts() -> None:
    """A trial that failed, a retraining whose last attempt failed; not one that a later call finished or resumed."""
    book = Book()("trial_started", "a").rung("a", 0, 0.5, "finish")("trial_started", "b")
    book("trial_ended", "b", state="failed", reason="out of\nmemory.")
    for name, end in (("a-s0", "candidate_failed"), ("b-s0", "candidate_finished"), ("c-s0", "candidate_started")):
        book("candidate_failed", candidate=name, reason="diverged")(end, candidate=name, reason="over the limit")
    found = failures(book.events)
    assert found == {"b": "out of\nmemory", "a-s0": "over the limit"}
    assert first_failures(found) == ["b: out of memory", "a-s0: over the limit"]


def test_equal_reasons_are_one_line_the_most_frequent_first() -> None:
    """With the first that failed so and the number of others."""
    assert first_failures({"a": "x", "b": "y", "c": "y", "d": "y"}) == ["b and 2 more: y", "a: x"]
    assert first_failures({"a": "x", "b": "y", "c": "y"}, n_shown=1) == ["b and 1 more: y"]
