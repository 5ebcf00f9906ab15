"""Which rules an event matches, without trying every rule.

Most patterns ask of some field that it is one of a few strings: the source, the detail-type, a bucket's name. Each rule
is filed under the one of its fields whose strings are rarest among all rules. An event is looked up under the few paths
that are filed by, and only what is found there is tried; what asks for no exact string is tried each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any, Generic, TypeVar

from wherry.pattern import Field, Pattern, Rule, Text

Name = TypeVar("Name")
#: A rule: its number, which is its place in the order they were given in, and the pattern.
_Rule = tuple[int, Pattern]


class RuleIndex(Generic[Name]):
    """Rules, indexed once and matched often; safe to share between threads."""

    def __init__(self, rules: Iterable[tuple[Name, Pattern]]) -> None:
        given = list(rules)
        self._names = [name for name, _ in given]
        conjunctions = [
            (number, pattern, fields)
            for number, (_, pattern) in enumerate(given)
            for fields in pattern.rules
        ]
        popularity = Counter(
            (each.path, text) for _, _, fields in conjunctions for each in fields.fields for text in _exact(each)
        )
        #: Path -> string -> rules.
        self._filed: dict[tuple[str, ...], dict[str, list[_Rule]]] = {}
        self._tried: list[_Rule] = []
        for number, pattern, fields in conjunctions:
            self._file((number, pattern), fields, popularity)
        self._order = list(self._filed.items())

    def _file(self, rule: _Rule, fields: Rule, popularity: Counter[tuple[str, str]]) -> None:
        best = None
        for each in fields.fields:
            texts = _exact(each)
            if texts:
                cost = sum(popularity[each.path, text] for text in texts)
                if best is None or cost < best[0]:
                    best = (cost, tuple(each.path.split('.')), texts)
        if best is None:
            if rule not in self._tried:
                self._tried.append(rule)
            return
        by_text = self._filed.setdefault(best[1], {})
        for text in best[2]:
            filed = by_text.setdefault(text, [])
            if not filed or filed[-1][0] != rule[0]:
                filed.append(rule)

    def match(self, event: Mapping[str, Any]) -> list[Name]:
        """The names of the rules that match, in the order they were given in."""
        candidates = list(self._tried)
        for path, by_text in self._order:
            value: Any = event
            for key in path:
                if type(value) is not dict or "." in "".join(value):
                    break
                value = value.get(key)
            else:
                if type(value) is str:
                    candidates += by_text.get(value, ())
                    continue
                if type(value) is not list:
                    continue
            if type(value) is dict or type(value) is list:
                # An array, or a key with a dot: the strings must be looked for.
                for text in _texts_at(event, ".".join(path)):
                    candidates += by_text.get(text, ())
        names = self._names
        if len(candidates) == 1:
            number, pattern = candidates[0]
            return [names[number]] if pattern.matches(event) else []
        found: list[Name] = []
        last = -1
        for number, pattern in sorted(candidates, key=itemgetter(0)):
            if number != last and pattern.matches(event):
                last = number
                found.append(names[number])
        return found


def _exact(field: Field) -> frozenset[str]:
    """The strings of which the field must be one; empty when it may be something else."""
    texts = [entry.value for entry in field.entries if isinstance(entry, Text)]
    return frozenset(texts) if len(texts) == len(field.entries) else frozenset()


def _texts_at(value: Any, path: str, prefix: str = "") -> set[str]:
    """The strings at a dotted path, whatever arrays and dotted keys are on the way."""
    if isinstance(value, list):
        return {text for inner in value for text in _texts_at(inner, path, prefix)}
    if isinstance(value, dict):
        found: set[str] = set()
        for key, inner in value.items():
            longer = f"{prefix}.{key}" if prefix else key
            if path == longer or path.startswith(f"{longer}."):
                found |= _texts_at(inner, path, longer)
        return found
    return {value} if isinstance(value, str) and prefix == path else set()
