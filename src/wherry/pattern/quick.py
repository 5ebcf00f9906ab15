"""The short cut for the events that nearly all events are: no array and no dotted key on the way to a field.

Then a path has one value at most, fields are independent of each other, and a rule is a walk down a few dicts. The
compiled functions answer True, False, or None for "not such an event", which `wherry.pattern.rigorous` must judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from wherry.pattern.entries import Entry, Field, Prefix, Suffix, Text

Verdict = bool | None
_Walk = Callable[[Mapping[str, Any]], Verdict]

_ABSENT: Final[Any] = object()
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def compile_rules(rules: Sequence[tuple[Field, ...]]) -> _Walk:
    """The function for a whole pattern."""
    walks = [_walk([(field.path.split("."), field) for field in rule]) for rule in rules]
    if len(walks) == 1:
        return walks[0]

    def any_of(event: Mapping[str, Any]) -> Verdict:
        for walk in walks:
            verdict = walk(event)
            if verdict is not False:
                return verdict
        return False

    return any_of


def _walk(fields: list[tuple[list[str], Field]]) -> _Walk:
    """The function for one dict of the event: fields that stand in it first, then the dicts below."""
    leaves = [(steps[0], _leaf(field)) for steps, field in fields if len(steps) == 1]
    below: dict[str, list[tuple[list[str], Field]]] = {}
    for steps, field in fields:
        if len(steps) > 1:
            below.setdefault(steps[0], []).append((steps[1:], field))
    inner = [(name, _descent(group)) for name, group in below.items()]

    def walk(node: Mapping[str, Any]) -> Verdict:
        for name, leaf in leaves:
            verdict = leaf(node.get(name, _ABSENT))
            if verdict is not True:
                return verdict
        if inner and "." in "".join(node):
            return None
        for name, descend in inner:
            verdict = descend(node.get(name, _ABSENT))
            if verdict is not True:
                return verdict
        return True

    return walk


def _descent(group: list[tuple[list[str], Field]]) -> Callable[[Any], Verdict]:
    """The function for what stands where a dict should, with the fields below it."""
    walk, absence_matches = _walk(group), all(field.accepts_absence for _, field in group)

    def descend(child: Any) -> Verdict:
        if child.__class__ is dict:
            return walk(child)
        return absence_matches if child is _ABSENT or child.__class__ in _SCALARS else None

    return descend


def _leaf(field: Field) -> Callable[[Any], Verdict]:
    """The function for the value of a field: by far the most fields say how a text is, begins or ends."""
    test, accepts_absence = field.test(), field.accepts_absence

    def leaf(value: Any) -> Verdict:
        kind = value.__class__
        if kind in _SCALARS:
            return test(value)
        # An object is no value: there is nothing at the path itself.
        if value is _ABSENT or kind is dict:
            return accepts_absence
        return None

    if not all(_is_plain(entry) for entry in field.entries):
        return leaf
    exact = frozenset(entry.value for entry in field.entries if isinstance(entry, Text))
    if len(exact) == len(field.entries):
        return lambda value: value in exact if value.__class__ is str else leaf(value)
    prefixes = tuple(entry.text for entry in field.entries if isinstance(entry, Prefix))
    suffixes = tuple(entry.text for entry in field.entries if isinstance(entry, Suffix))

    def text_leaf(value: Any) -> Verdict:
        if value.__class__ is str:
            return value.endswith(suffixes) or value.startswith(prefixes) or value in exact
        return leaf(value)

    return text_leaf


def _is_plain(entry: Entry) -> bool:
    match entry:
        case Text():
            return True
        case Prefix(text, ignore_case) | Suffix(text, ignore_case):
            # A quotation mark may mean the one around the value.
            return not ignore_case and '"' not in text
        case _:
            return False
