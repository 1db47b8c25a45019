"""A trial is what its events say, and only what they say."""

from __future__ import annotations

from typing import Any

from ledger_support import Book, story

from results.ledger.trial import RungScore, Trial, Trials, trials_of


def test_events_about_no_trial_and_unknown_ones_change_nothing() -> None:
    """Kinds of a newer version, proposals over the limit and retrainings begin no trial and change none."""
    book = Book()("trial_started", "a").rung("a", 0, 0.5, "pause")
    before = trials_of(book.events)
    trials = trials_of(book("trial_cloned", "a")("infeasible", reason="over")("candidate_started", "a").events)
    assert trials == before
    assert trials.apply({"event": "trial_cloned", "trial_id": "b"}) is None
    assert list(trials) == ["a"]


def test_scores_are_kept_for_every_rung_and_none_that_diverged() -> None:
    """{epochs: scores} of the rungs with numbers; the trial's own scores are those of the highest rung."""
    book = Book()("trial_started", "a", weight_bytes=40)
    trial = trials_of(book.rung("a", 0, 0.5, "continue", 41).rung("a", 1, None, "continue", 42).events)["a"]
    assert trial.scores == {2: RungScore(0.5, 1.0, 41)}
    assert (trial.rung, trial.epochs, trial.macro_accuracy, trial.weight_bytes) == (1, 6, None, 42)
    assert (trial.next_rung, trial.target, trial.seconds) == (2, 2, 20.0)


def test_the_latest_reason_and_the_latest_that_was_given() -> None:
    """An end without a reason clears that of the retry before it, which stays known as the last one."""
    book = Book()("trial_started", "a")("trial_retried", "a", rung=0, reason="killed")
    trial = trials_of(book.rung("a", 2, 0.5, "finish").events)["a"]
    assert (trial.state, trial.reason, trial.last_reason, trial.n_retries) == ("finished", None, "killed", 1)
    assert trial.has_ended


def test_an_end_is_changed_by_no_rung() -> None:
    """A rung that stands after the end, as a torn history may have it, leaves the state."""
    book = Book()("trial_started", "a")("trial_ended", "a", state="stopped", reason="late")
    assert trials_of(book.rung("a", 0, 0.5, "continue").events)["a"].state == "stopped"


def test_a_trial_folds_in_any_number_of_steps() -> None:
    """Event by event, with looks in between, or at once: the same trials, in the order in which they began."""
    events = story()
    trials = Trials()
    seen: list[str] = []
    for event in events:
        trial = trials.apply(event)
        seen += [] if trial is None or trial.trial_id in seen else [trial.trial_id]
    assert trials == trials_of(events)
    assert list(trials) == seen


def test_the_configuration_of_a_trial_is_not_kept() -> None:
    """A driver of thousands of trials holds no configuration: it is large, and in the ledger."""
    config: dict[str, Any] = {"model": {"blocks": [1, 2]}}
    trial = Trial("a")
    trial.apply({"event": "trial_started", "trial_id": "a", "config": config, "params": {"n": 1}, "seed": 3})
    assert (trial.params, trial.seed) == ({"n": 1}, 3)
    assert config not in [getattr(trial, name) for name in Trial.__slots__]
