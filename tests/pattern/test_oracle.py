"""The matcher against an independent one, and its two ways against each other."""

from hypothesis import example, given, settings

from tests.pattern import oracle
from tests.pattern.strategies import events, flat_events, patterns
from wherry.pattern import parse

E_A = {"a": [{"b": "x"}, {"b": "xy", "c": 5}]}


@settings(max_examples=400, deadline=None)
@given(patterns, events)
@example({"a": {"b": ["x"], "c": [{"exists": False}]}}, E_A)
@example({"a": {"b": ["xy"], "c": [{"exists": False}]}}, E_A)
@example({"a": {"b": [{"exists": False}], "c": [5]}}, E_A)
@example({"a": ["x"], "$or": [{"a": ["xy"]}, {"b": [5]}]}, {"a": "xy"})
@example({"a": ["x"], "$or": [{"a": ["xy"]}, {"b": [5]}]}, {"a": "x", "b": 5})
@example({"a": {"b": ["x"]}, "a.b": [5]}, {"a": {"b": "x"}})
def test_the_verdict_is_the_oracles(pattern, event):
    parsed = parse(pattern)
    expected = oracle.matches(pattern, event)
    assert parsed.matches(event) is expected
    assert parsed.matches_rigorously(event) is expected
    assert (parsed.explain(event) is None) is expected


@settings(max_examples=200, deadline=None)
@given(patterns, flat_events)
def test_the_short_cut_is_taken_and_right_without_arrays(pattern, event):
    parsed = parse(pattern)
    assert parsed._quick(event) is oracle.matches(pattern, event)
