"""The matcher that is right for every event: two fields must not take values from different elements of one array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wherry.pattern.entries import Field, Test
from wherry.pattern.flat import Membership, Occurrences, merged, occurrences, prefixes


class Matcher:
    """Rules of fields, as event-ruler's `ACFinder` walks them.

    The fields are taken in order, and with each the set of array elements chosen so far grows. `exists: false` asks
    about the elements chosen by the fields before it: `{"e": {"f": ["x"], "g": [{"exists": false}]}}` matches when some
    element of `e` has this `f` and no `g`, whatever the other elements have.
    """

    def __init__(self, rules: Sequence[tuple[Field, ...]]) -> None:
        tests = {id(field): field.test() for rule in rules for field in rule}
        self._rules = [[(field.path, tests[id(field)], field.accepts_absence) for field in rule] for rule in rules]
        self._wanted = prefixes({field.path for rule in rules for field in rule})

    def matches(self, event: Mapping[str, Any]) -> bool:
        """True when all fields of one of the rules match."""
        found = occurrences(event, self._wanted)
        return any(_matches(rule, found) for rule in self._rules)


def _matches(rule: list[tuple[str, Test, bool]], found: Occurrences) -> bool:
    chosen: set[Membership] = {()}
    for path, test, accepts_absence in rule:
        values = found.get(path, [])
        hits = {where for value, where in values if test(value)}
        onward = {both for before in chosen for where in hits if (both := merged(before, where)) is not None}
        if accepts_absence:
            everywhere = {where for _, where in values}
            onward |= {before for before in chosen if all(merged(before, where) is None for where in everywhere)}
        if not onward:
            return False
        chosen = onward
    return True
