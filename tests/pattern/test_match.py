"""The odd corners."""

import json
from types import MappingProxyType
from typing import Any

import pytest

from wherry.pattern import loads, parse


def hit(entries: Any, value: Any) -> Any:
    pattern = parse({"a": entries if isinstance(entries, list) else [entries]})
    verdict = pattern.matches({"a": value})
    assert verdict is pattern.matches_rigorously({"a": value})
    return verdict


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.01", True),
        ("10.0.0.1", "010.000.000.001", True),
        ("10.0.0.1", "0000000010.0.0.1", False),  # longer than any address: text
        ("10.0.0.1", "10.0.0.1 ", False),
        ("10.0.0.256", "10.0.0.256", True),  # no address, so plain text
        ("10.0.0.256", "10.0.0.0256", False),
        ("10.1", "10.0.0.1", False),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("2001:DB8::1", "2001:db8:0::1", True),
        ("00001::1", "1::1", True),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0", True),
        ("::ffff:102:304", "1.2.3.4", True),
        ("::102:304", "1.2.3.4", False),
        ("::ffff:1.2.3.4", "1.2.3.4", False),
        ("fe80::1%eth0", "fe80::1", False),
        ("fe80::1%eth0", "fe80::1%eth0", True),
        (":", ":", True),
        (":", "::", False),
        (":::", "::", False),
        ("1::2::3", "1::2:0:3", False),
        ("fffff::", "ffff::", False),
        ("1:2:3:4::5:6:7:8", "1:2:3:4:5:6:7:8", False),
        ("1:2:3", "1:2:3", True),
        ("12:30", "12:30", True),  # a time of day is no address
    ],
)
def test_addresses(text, other, same):
    assert hit(text, other) is same


def test_an_address_by_its_spelling():
    assert not hit({"exactly": "10.0.0.1"}, "10.0.0.01")
    assert hit({"anything-but": "10.0.0.1"}, "10.0.0.01")
    assert not hit({"anything-but": ["10.0.0.1"]}, "10.0.0.1")
    assert hit({"prefix": "10.0."}, "10.0.0.1")


@pytest.mark.parametrize(
    ("cidr", "value", "inside"),
    [
        ("10.0.0.77/24", "10.0.0.1", True),
        ("10.0.0.0/8", "::a00:1", False),
        ("10.0.0.0/8", "::ffff:a00:1", True),
        ("::/0", "10.0.0.1", False),
        ("::/0", "abcd::", True),
        ("10.0.0.0/+8", "10.9.9.9", True),
        ("10.0.0.0/08/", "10.9.9.9", True),
        ("10.0.0.0/8", None, False),
        ("10.0.0.0/8", 10, False),
        # event-ruler reads a number's digits as those of an address
        ("0.0.0.0/0", 5, True),
        ("0.0.0.0/0", 5.0, True),
        ("0.0.0.0/0", 0, False),
        ("0.0.0.0/0", -5, False),
        ("0.0.0.0/0", True, False),
        ("16.0.0.0/8", 101, True),
        ("16.0.0.0/8", 111, False),
    ],
)
def test_networks(cidr, value, inside):
    assert hit({"cidr": cidr}, value) is inside


def test_numbers_among_the_entries_end_the_slip_with_addresses():
    assert not hit([{"cidr": "0.0.0.0/0"}, 7], 5)
    assert not hit([{"cidr": "0.0.0.0/0"}, {"numeric": ["<", 0]}], 5)
    assert hit(["16.1.2.3"], 10010203)
    assert not hit(["16.1.2.3"], 1001020)


@pytest.mark.parametrize(
    ("pattern", "value", "same"),
    [
        ("ß", "ß", True),
        ("ß", "SS", True),
        ("ß", "ss", False),
        ("ß", "ẞ", False),
        ("ẞ", "ß", True),
        ("İ", "i̇", True),
        ("İ", "i", False),
        ("I", "ı", False),
        ("ı", "I", True),
        ("S", "ſ", False),
        ("ſ", "S", True),
        ("ſ", "s", False),
        ("Σ", "σ", True),
        ("Σ", "ς", False),
        ("K", "\u212a", False),  # the Kelvin sign
        ("\u212a", "k", True),
        ("\u212a", "K", False),
        ("ŉ", "ʼN", True),
        ("ﬁ", "FI", True),
        ("ﬁ", "fi", False),
        ("\u00e9a", "\u00c9A", True),
        ("\u00e9a", "E\u0301A", False),  # no normalisation
        ("😀", "😀", False),  # Java's halves of a pair
        ("😀", "??", True),
        ("𐐀", "𐐨", False),
        ("", "", True),
        ("a.c", "abc", False),
        ("a\n", "A\n", True),
    ],
)
def test_ignoring_case(pattern, value, same):
    assert hit({"equals-ignore-case": pattern}, value) is same
    assert hit({"prefix": {"equals-ignore-case": pattern}}, value + "tail") is (same or pattern == "")
    assert hit({"suffix": {"equals-ignore-case": pattern}}, "head" + value) is (same or pattern == "")
    assert hit({"anything-but": {"equals-ignore-case": pattern}}, value) is not same


def test_the_quotation_marks_around_a_value():
    assert hit({"prefix": 'x"'}, "x")
    assert hit({"prefix": 'x"'}, 'x"y')
    assert not hit({"prefix": 'x"'}, "xy")
    assert hit({"suffix": '"x'}, "x")
    assert not hit({"suffix": '"x'}, "yx")
    assert hit({"prefix": {"equals-ignore-case": 'X"'}}, "x")
    assert hit({"suffix": {"equals-ignore-case": '"X'}}, "x")
    assert not hit({"anything-but": {"prefix": 'x"'}}, "x")


@pytest.mark.parametrize(
    ("wildcard", "value", "match"),
    [
        ("*", "", True),
        ("*", "a\nb", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*ab*", "xaab", True),
        ("*ab*ab", "abab", True),
        ("*ab*ab", "ab", False),
        ("a*b*c", "abcabc", True),
        ("😀*", "😀x", True),
        ("*é", "é", True),
        ("\\\\*", "\\x", True),
        ("\\**", "*x", True),
        ("*\\*", "x*", True),
        ("[a]*", "[a]b", True),
        ("", "", True),
        ("", "x", False),
        ('"*', '"x', True),
        ("*", None, False),
    ],
)
def test_wildcards(wildcard, value, match):
    assert hit({"wildcard": wildcard}, value) is match
    assert hit({"anything-but": {"wildcard": wildcard}}, value) is not match


def test_wildcards_never_explode():
    assert not hit({"wildcard": "*a" * 200 + "*b"}, "a" * 5_000)


@pytest.mark.parametrize(
    ("pattern", "event", "match"),
    [
        ("5", '"5"', False),
        ("5", "5.0", True),
        ("0", "-0", True),
        ("-0.0", "0", True),
        ("9007199254740993", "9007199254740992", True),  # one double
        ("1e400", "1e400", True),
        ("1e400", "1e401", False),
        ("1e400", "1E400", False),
        ("1e400", "-1e400", False),
        ("1e400", "5", False),
        ("5", "1e400", False),
        ("1" + "0" * 400, "1" + "0" * 400, True),
        ("1" + "0" * 400, "1" + "0" * 401, False),
        ("1" + "0" * 400, "1e400", False),
        ("1e-400", "0", True),
        ("0.1", "1e-1", True),
        ("1", "true", False),
        ("true", "1", False),
        ("false", "0", False),
        ("null", "false", False),
        ('{"numeric":["<",1e308]}', "1e400", False),
        ('{"numeric":[">",0]}', "true", False),
        ('{"numeric":["=",9007199254740993]}', "9007199254740992", True),
        ('{"anything-but":5}', "1e400", True),
        ('{"anything-but":1}', "true", True),
        ('{"anything-but":[0]}', "-0.0", False),
        ('{"anything-but":""}', '""', False),
        ('{"exists":true}', "1e400", True),
    ],
)
def test_numbers_and_constants(pattern, event, match):
    parsed = parse(f'{{"a":[{pattern}]}}')
    assert parsed.matches(loads(f'{{"a":{event}}}')) is match
    assert parsed.matches_rigorously(loads(f'{{"a":{event}}}')) is match


def test_huge_numbers_of_plain_json():
    assert parse({"a": [json.loads("1e400")]}).matches({"a": json.loads("1e400")})
    assert not parse({"a": [5]}).matches({"a": json.loads("-1e400")})
    digits = "7" * 5_000
    assert parse('{"a":[{"exists":true}]}').matches(loads(f'{{"a":{digits}}}'))
    assert not parse('{"a":[5]}').matches(loads(f'{{"a":{digits}}}'))


@pytest.mark.parametrize(
    ("pattern", "event", "match"),
    [
        # `exists: false` speaks of the elements that the fields before it have chosen
        ({"e": {"f": ["x"], "g": [{"exists": False}]}}, {"e": [{"f": "x"}, {"f": "y", "g": 1}]}, True),
        ({"e": {"f": ["y"], "g": [{"exists": False}]}}, {"e": [{"f": "x"}, {"f": "y", "g": 1}]}, False),
        ({"e": {"a": [{"exists": False}], "f": ["x"]}}, {"e": [{"f": "x"}, {"f": "y", "a": 1}]}, False),
        ({"e": {"f": ["x"], "g": [{"exists": False}, 2]}}, {"e": [{"f": "x", "g": 2}]}, True),
        # elements of an inner array imply those of the outer
        ({"e": {"f": ["x"], "t": {"v": [2]}}}, {"e": [{"f": "x"}, {"t": [{"v": 2}]}]}, False),
        # scalars of an array are not bound to their place
        ({"e": {"f": ["x"], "g": [2]}}, {"e": {"f": ["y", "x"], "g": [2, 3]}}, True),
        # nested arrays are
        ({"e": {"f": ["x"], "g": [2]}}, {"e": [[{"f": "x"}], [{"g": 2}]]}, False),
        # one path, two arrays
        ({"a.b": {"f": ["x"], "g": [2]}}, {"a": {"b": [{"f": "x"}]}, "a.b": [{"g": 2}]}, True),
        ({"a": {"b": ["x"]}}, {"a": {"b": "y"}, "a.b": "x"}, True),
        ({"a": {"b": {"c": ["x"]}}}, {"a.b": {"c": "x"}}, True),
        ({"a": {"b": {"c": ["x"]}}}, {"a": {"b.c": "x"}}, True),
        ({"a": [{"exists": False}]}, {"a": [[], {}, [{}]]}, True),
        ({"a": ["x"], "a.b": [1]}, {"a": ["x", {"b": 1}]}, True),
        ({"": ["x"]}, {"": "x"}, True),
        ({"a": {"": ["x"]}}, {"a": {"": "x"}}, True),
        ({"a": {"b": [{"exists": False}]}}, {"a": "x"}, True),
        ({"a": {"b": [{"exists": True}]}}, {"a": "x"}, False),
        ({"a": ["x"]}, {"a": {"b": "x"}}, False),
    ],
)
def test_arrays_and_absence(pattern, event, match):
    assert parse(pattern).matches(event) is match
    assert parse(pattern).matches_rigorously(event) is match


def test_events_may_be_any_mapping():
    event = MappingProxyType({"a": MappingProxyType({"b": ("x", "y")}), "c": MappingProxyType({"d": 1})})
    assert parse({"a": {"b": ["y"]}}).matches(event)
    assert parse({"c": {"d": [1]}}).matches(event)
    assert not parse({"c": {"d": [2]}}).matches(event)


def test_an_event_may_be_deep():
    event: object = "x"
    for _ in range(2_000):
        event = [event]
    assert parse({"a": ["x"]}).matches({"a": event})
    assert not parse({"a": ["y"]}).matches({"a": event})


def test_half_a_surrogate_pair_does_no_harm():
    event = json.loads('{"a": "\\ud800"}')
    for entry in ["x", {"wildcard": "*"}, {"equals-ignore-case": "\ud800"}, {"prefix": "\ud800"}]:
        pattern = parse({"a": [entry]})
        pattern.matches(event)
        (pattern.explain(event) or "").encode()
