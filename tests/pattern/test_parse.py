import contextlib
import dataclasses
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pattern.strategies import patterns
from wherry.errors import PatternError
from wherry.pattern import parse

json_documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["$or", "prefix", "anything-but", "numeric", "exists", "cidr", "wildcard", "a"]),
                st.text(max_size=3),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(json_documents)
def test_only_pattern_errors(document):
    try:
        parsed = parse(document)
    except PatternError:
        return
    parsed.matches(document)
    parsed.explain(document)


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=30))
def test_only_pattern_errors_for_text(text):
    with contextlib.suppress(PatternError):
        parse(text)


@settings(max_examples=200, deadline=None)
@given(patterns, st.integers(0, 9))
def test_patterns_broken_at_random_are_refused_cleanly(pattern, seed):
    text = json.dumps(pattern)
    chance = random.Random(seed)
    at = chance.randrange(len(text))
    with contextlib.suppress(PatternError):
        parse(text[:at] + chance.choice('{}[]",:x5*\\') + text[at + 1 :])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": ["x"]', "not valid JSON: Expecting ',' delimiter at line 1, column 12"),
        (
            '{"a": ["x"],\n b: 1}',
            "not valid JSON: Expecting property name enclosed in double quotes at line 2, column 2",
        ),
        ("", "not valid JSON: Expecting value at line 1, column 1"),
        ('{"a": [NaN]}', "not valid JSON: `NaN` is not a JSON value"),
        ('{"a": ["x"]} x', "not valid JSON: Extra data at line 1, column 14"),
    ],
)
def test_text_that_is_not_json(text, message):
    with pytest.raises(PatternError) as caught:
        parse(text)
    assert caught.value.message == message


def nested(depth: Any) -> Any:
    return '{"a":' * depth + '["x"]' + "}" * depth


@pytest.mark.parametrize("depth", [500, 1_000, 5_000, 100_000])
def test_too_deep(depth):
    with pytest.raises(PatternError, match=r"exceeds limit of 2048|nested too deeply"):
        parse(nested(depth))


def test_deep_is_fine():
    assert parse(nested(300)).matches(json.loads(nested(300)))


def test_the_longest_pattern():
    room = 2048 - len('{"a":[""]}')
    parse({"a": ["x" * room]})
    parse('{ "a" : [ "' + "x" * room + '" ] }')
    with pytest.raises(PatternError, match=r"has 2049 characters, which exceeds limit of 2048"):
        parse({"a": ["x" * (room + 1)]})


def alternatives(count: Any) -> Any:
    return [{"a": [number]} for number in range(count)]


def test_combinations_of_or():
    assert len(parse({"$or": alternatives(10), "b": {"$or": alternatives(10)}}).rules) == 100
    parse({"p": {"$or": alternatives(10)}, "q": {"$or": alternatives(10)}, "r": {"$or": alternatives(10)}})
    with pytest.raises(PatternError, match="make 1100 combinations, more than 1000"):
        parse({"p": {"$or": alternatives(10)}, "q": {"$or": alternatives(10)}, "r": {"$or": alternatives(11)}})


@pytest.mark.parametrize(
    ("pattern", "event"),
    [
        ({"$or": {"a": ["1"]}}, {"$or": {"a": "1"}}),
        ({"$or": ["x", "y"]}, {"$or": "y"}),
        ({"$or": [{"prefix": "x"}, {"suffix": "y"}]}, {"$or": "ay"}),
        ({"a": ["1"], "$or": [{"numeric": [">", 5]}]}, {"a": "1", "$or": 6}),
    ],
)
def test_a_field_called_or(pattern, event):
    assert parse(pattern).matches(event)
    assert not parse(pattern).matches({"a": "1"})


@pytest.mark.parametrize("reserved", ["prefix", "=", "regex", "date-after", "ip-address-in-range"])
def test_reserved_words_within_or(reserved):
    with pytest.raises(PatternError, match=rf"^{reserved} is Ruler reserved fieldName"):
        parse({"$or": [{"a": [{"exists": True}]}, {"b": {reserved: ["x"]}}]})
    assert parse({reserved: ["x"], "$or": [{"a": ["x"]}, {"b": ["x"]}]}).matches({reserved: "x", "b": "x"})


def test_of_a_repeated_key_the_last_one_wins():
    assert parse('{"a":["x"],"a":["y"]}') == parse({"a": ["y"]})
    assert parse('{"a":{"b":["x"]},"a":{"c":["y"]}}') == parse({"a": {"c": ["y"]}})
    assert parse({"a": {"b": ["x"]}, "a.b": ["y"]}) == parse({"a": {"b": ["y"]}})
    # the place of the last one counts too
    assert not parse('{"a":["x"],"$or":[{"a":["y"]},{"b":["z"]}],"a":["w"]}').matches({"a": "y"})


def test_the_hint_names_the_field():
    with pytest.raises(PatternError) as caught:
        parse({"detail": {"object": {"key": [{"glob": "*"}]}}})
    assert caught.value.hint == "look at `detail.object.key`"
    with pytest.raises(PatternError) as caught:
        parse({"detail": {"state": "running"}})
    assert caught.value.hint == "write the value of `detail.state` as a list: [...]"


def test_names_are_text():
    with pytest.raises(PatternError, match="the name of a field must be text, not 5"):
        parse({5: ["x"]})  # type: ignore[dict-item]


def test_values_that_are_not_json():
    with pytest.raises(PatternError, match="Match value must be String"):
        parse({"a": [object()]})


def test_patterns_are_values():
    one, other = parse({"b": ["x"], "a": [5, {"prefix": "y"}]}), parse('{"a": [5.0, {"prefix": "y"}], "b": ["x"]}')
    assert one == other
    assert hash(one) == hash(other)
    assert one != parse({"a": ["x"]})
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.rules = ()  # type: ignore[misc]


@pytest.mark.parametrize("operator", ["prefix", "suffix", "equals-ignore-case", "wildcard"])
def test_an_empty_list_of_refusals_refuses_nothing(operator):
    pattern = parse({"a": [{"anything-but": {operator: []}}]})
    assert pattern.matches({"a": "x"})
    assert not pattern.matches({})
