"""Every kind of event has one shape, which is what is written, and its name is compared in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from process_support import ROOT
from search_support import measured, open_search
from source_support import modules, parsed

from results.ledger import events as shapes
from results.ledger.events import STATES, EventKind, is_kind, of_kind
from search.objectives import Value
from search.strategies.warm_start import EarlierTrial, PresetPoint, WarmStart

SHAPES: dict[str, Any] = {
    "session_started": shapes.SessionStarted,
    "session_ended": shapes.SessionEnded,
    "warm_start": shapes.WarmStarted,
    "infeasible": shapes.Infeasible,
    "trial_started": shapes.TrialStarted,
    "trial_promoted": shapes.TrialContinued,
    "trial_resumed": shapes.TrialContinued,
    "trial_retried": shapes.TrialRetried,
    "rung": shapes.RungReached,
    "trial_ended": shapes.TrialEnded,
    "candidate_started": shapes.CandidateStarted,
    "candidate_resumed": shapes.CandidateResumed,
    "candidate_retried": shapes.CandidateTrouble,
    "candidate_failed": shapes.CandidateTrouble,
    "candidate_finished": shapes.OfCandidate,
    "test_read": shapes.SplitRead,
    "line_finished": shapes.RunFinished,
}
UNAMBIGUOUS = {kind for group in get_args(EventKind) for kind in get_args(group) or (group,)} - {*STATES}


def others() -> Iterator[tuple[str, ast.Module]]:
    """Yield the source files outside results/ledger, parsed."""
    for path in modules():
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("results/ledger/"):
            yield name, parsed(path)


def strings(node: ast.AST) -> set[str]:
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def reads_kind(node: ast.AST) -> bool:
    """Return whether a node takes an event's kind: `x["event"]` or `x.get("event")`."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value == "event"
    is_get = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get"
    return is_get and any(isinstance(a, ast.Constant) and a.value == "event" for a in node.args[:1])


def compares_kind(node: ast.AST) -> bool:
    if isinstance(node, ast.MatchValue):
        return bool(strings(node) & UNAMBIGUOUS)
    operands = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
    literals = [one for one in operands if isinstance(one, ast.Constant | ast.Set | ast.Tuple | ast.List)]
    return any(strings(one) & UNAMBIGUOUS for one in literals)


@pytest.mark.parametrize("code", ['e["event"]', 'e.get("event")'])
def test_a_read_kind_is_found(code: str) -> None:
    """The guard sees both ways to take a kind from an event."""
    assert any(map(reads_kind, ast.walk(ast.parse(code))))


@pytest.mark.parametrize("code", ['k == "rung"', 'k in {"rung", "x"}', '"test_read" != k', 'match k:\n case "rung": 0'])
def test_a_compared_kind_is_found(code: str) -> None:
    """The guard sees comparisons with one name, with several, and a match."""
    assert any(map(compares_kind, ast.walk(ast.parse(code))))


def test_names_of_events_are_compared_in_results_ledger_alone() -> None:
    """No other module reads an event's kind or compares anything with a kind's name."""
    found = [
        f"{name}:{getattr(node, 'lineno', 0)}"
        for name, tree in others()
        for node in ast.walk(tree)
        if reads_kind(node) or compares_kind(node)
    ]
    assert found == []


def test_every_kind_has_a_shape() -> None:
    """The names are those that have a shape."""
    assert {kind for group in get_args(EventKind) for kind in get_args(group) or (group,)} == {*SHAPES}


def test_what_is_appended_has_the_fields_of_its_shape() -> None:
    """Every call that writes an event by name gives the fields of that kind: all of them, unless some are unpacked."""
    n_calls = 0
    for name, tree in others():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            is_write = isinstance(call.func, ast.Attribute) and call.func.attr in {"append", "_write"}
            kind = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
            if not is_write or kind is None or not call.keywords:
                continue
            given = {keyword.arg for keyword in call.keywords} - {None}
            given |= {"trial_id"} if call.func.attr == "_write" else set()
            expected = SHAPES[kind].__required_keys__
            assert given <= expected, f"{name}:{call.lineno}"
            assert given == expected or None in {keyword.arg for keyword in call.keywords}, f"{name}:{call.lineno}"
            n_calls += 1
    assert n_calls >= len(SHAPES)


def test_what_a_search_writes_has_the_fields_of_its_shape(tmp_path: Path) -> None:
    """A search with every event of trials: each line has its kind, its time, and exactly its shape's fields."""
    state, ledger = open_search(tmp_path / "ledger.jsonl", scheduler="pareto")
    point = state._proposer.space.smallest()
    known = EarlierTrial("before", "t0007", point, {2: Value(0.5, 1.0, 100, 9)})
    state.warm_start(WarmStart((PresetPoint("near", point, 0.0),), (known,), ("a note",)), ["before"])
    first, second = state.next_trial(), state.next_trial()
    state.on_retry(first.trial_id, "killed")
    state.on_rung(first.trial_id, 0, measured(0.9))
    state.on_rung(second.trial_id, 0, measured(0.1))
    assert state.next_promotion() is first
    ledger.close()
    state, ledger = open_search(tmp_path / "ledger.jsonl", n_trials=20, scheduler="pareto")
    state.on_failure(state.next_trial().trial_id, "diverged")
    while state.next_trial() is not None:
        continue
    events = ledger.events()
    trial_kinds = {"trial_started", "trial_promoted", "trial_resumed", "trial_retried", "rung", "trial_ended"}
    assert {event["event"] for event in events} == trial_kinds | {"infeasible", "warm_start"}
    for event in events:
        assert {*event} == {"event", "time"} | SHAPES[event["event"]].__required_keys__


def test_events_are_selected_by_kind() -> None:
    """Events of the kinds asked for come in order; unknown ones are of no kind."""
    events = [
        {"event": "rung", "n": 1},
        {"event": "from_the_future"},
        {"event": "test_read"},
        {"event": "rung", "n": 2},
    ]
    assert [event["n"] for event in of_kind(events, "rung")] == [1, 2]
    assert [is_kind(event, "rung", "test_read") for event in events] == [True, False, True, True]
