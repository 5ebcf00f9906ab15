from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.pattern.strategies import events, patterns
from wherry.local.bus import RuleIndex
from wherry.pattern import parse


def index_of(*documents: Any) -> RuleIndex[int]:
    return RuleIndex(enumerate(parse(document) for document in documents))


@settings(max_examples=150, deadline=None)
@given(st.lists(patterns, max_size=6), events)
@example([{"a": ["16.1.2.3"]}, {"a": [{"cidr": "0.0.0.0/0"}]}], {"a": 10010203})
@example([{"a": [{"prefix": 'x"'}]}, {"a": [{"suffix": '"x'}]}], {"a": "x"})
@example([{"a": ["1"], "b": ["2"]}, {"a": ["1"], "b": ["3"]}], {"a": "1", "b": ["2", "3"]})
@example([{"a": {"b": ["1"]}}, {"a": {"b": ["2"]}}], {"a.b": "1", "a": {"b": "2"}})
@example([{"a": [{"wildcard": "x*y"}]}, {"a": [{"wildcard": "*y"}]}, {"a": [{"wildcard": "x*"}]}], {"a": "xzy"})
@example([{"a": [5]}, {"a": [5.0, "x"]}, {"a": [True]}], {"a": True})
def test_the_index_finds_what_trying_every_rule_finds(documents: list[Any], event: Any) -> None:
    rules = [parse(document) for document in documents]
    expected = [number for number, rule in enumerate(rules) if rule.matches(event)]
    assert RuleIndex(enumerate(rules)).match(event) == expected


def test_the_order_is_that_of_the_rules() -> None:
    names = ["c", "a", "b", "a"]
    documents: list[Any] = [{"s": ["x"]}, {"s": [{"anything-but": "y"}]}, {"s": ["x"], "t": [1]}, {"s": ["x"]}]
    index = RuleIndex(zip(names, map(parse, documents), strict=True))
    assert index.match({"s": "x", "t": 1}) == names


def test_a_rule_matches_once() -> None:
    index = index_of({"$or": [{"a": ["x"]}, {"b": ["x"]}, {"b": [{"prefix": "x"}]}]})
    assert index.match({"a": ["x", "x"], "b": "x"}) == [0]


def test_no_rules() -> None:
    assert index_of().match({"a": 1}) == []


def candidates(index: RuleIndex[int], event: dict[str, Any]) -> int:
    found: list[int] = []
    assert index._root.collect(event, found)
    return len(found)


SAME: dict[str, Any] = {"source": ["shop"], "detail-type": ["order placed"]}


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        (lambda n: f"customer-{n}", "customer-77"),
        (lambda n: n, 77.0),
        (lambda n: {"exactly": f"x{n}"}, "x77"),
        (lambda n: {"prefix": f"in/{n:04}/"}, "in/0077/a.csv"),
        (lambda n: {"suffix": f"-{n:04}.csv"}, "in/report-0077.csv"),
        (lambda n: {"wildcard": f"in/{n:04}/*.csv"}, "in/0077/a.csv"),
        (lambda n: {"wildcard": f"in/*-{n:04}.csv"}, "in/a-0077.csv"),
        (lambda n: f"10.0.{n // 256}.{n % 256}", "10.0.0.077"),
    ],
)
def test_few_candidates_whatever_tells_the_rules_apart(entry: Any, value: Any) -> None:
    index = index_of(*({**SAME, "detail": {"x": [entry(number)]}} for number in range(500)))
    event = {"source": "shop", "detail-type": "order placed", "detail": {"x": value, "y": 1}}
    assert index.match(event) == [77]
    assert candidates(index, event) == 1


def test_few_candidates_when_every_rule_has_a_field_of_its_own() -> None:
    index = index_of(*({**SAME, "detail": {f"x{number}": ["y"]}} for number in range(500)))
    event = {"source": "shop", "detail-type": "order placed", "detail": {"x77": "y"}}
    assert index.match(event) == [77]
    assert candidates(index, event) == 1


def test_what_no_table_can_find_is_tried_each_time() -> None:
    index = index_of({"a": [{"exists": False}]}, {"a": [{"numeric": [">", 5]}]}, {"a": ["x", {"prefix": ""}]})
    assert index.match({"a": "x"}) == [2]
    assert index.match({"a": 6}) == [1]
    assert index.match({}) == [0]
