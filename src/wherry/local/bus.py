"""Which rules want an event, without trying every rule.

Each combination of a pattern's fields is filed under its rarest condition that a table can look up: an exact value, or
how a text begins or ends. An event's values then lead to a few candidates, and the compiled pattern decides about
those. Filing a rule under a condition that it needs can only bring too many candidates, never too few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from wherry import pattern
from wherry.pattern import Entry, Field, Pattern, Rule

T = TypeVar("T")

#: How a condition is looked up, the cheapest first.
EXACT, PREFIX, SUFFIX = range(3)
#: A kind of condition and what it looks up: a text, the bytes of an address, a double.
Anchor = tuple[int, Hashable]


class RuleIndex(Generic[T]):
    """Rules by what they need. Building takes time in proportion to the rules, matching does not."""

    def __init__(self, rules: Iterable[tuple[T, Pattern]]) -> None:
        given = list(rules)
        self._rules = [(name, whole.matches) for name, whole in given]
        combinations = [(number, rule) for number, (_, whole) in enumerate(given) for rule in whole.rules]
        popularity: Counter[tuple[str, Anchor]] = Counter()
        for _, rule in combinations:
            popularity.update({(path, anchor) for path, anchors in _ways_to_file(rule) for anchor in anchors})
        self._root = _Node()
        self._tables: dict[str, _Table] = {}
        #: The rules that no table can find.
        self._unfiled: list[int] = []
        for number, rule in combinations:
            ways = [_rated(path, anchors, popularity) for path, anchors in _ways_to_file(rule)]
            if ways:
                _, _, path, anchors = min(ways)
                self._table(path).file(anchors, number)
            elif not self._unfiled or self._unfiled[-1] != number:
                self._unfiled.append(number)
        self._wanted = pattern.prefixes(self._tables)

    def match(self, event: Mapping[str, Any]) -> list[T]:
        """The names of the rules whose patterns match, in the order in which they were given."""
        candidates = list(self._unfiled)
        if not self._root.collect(event, candidates):
            candidates = list(self._unfiled)
            self._collect_everywhere(event, candidates)
        if len(candidates) > 1:
            candidates = sorted(set(candidates))
        rules = self._rules
        return [rules[number][0] for number in candidates if rules[number][1](event)]

    def _table(self, path: str) -> _Table:
        if path not in self._tables:
            table = self._tables[path] = _Table()
            self._root.place(path.split("."), table)
        return self._tables[path]

    def _collect_everywhere(self, event: Mapping[str, Any], candidates: list[int]) -> None:
        for path, values in pattern.occurrences(event, self._wanted).items():
            table = self._tables.get(path)
            if table is not None:
                for value, _ in values:
                    table.look_up(value, candidates)


def _rated(
    path: str, anchors: tuple[Anchor, ...], popularity: Counter[tuple[str, Anchor]]
) -> tuple[int, tuple[int, int], str, tuple[Anchor, ...]]:
    """Sorts by the number of rules found with it, then by the cost of looking."""
    kinds = max(kind for kind, _ in anchors)
    return sum(popularity[path, anchor] for anchor in anchors), (kinds, path.count(".")), path, anchors


def _ways_to_file(rule: Rule) -> Iterator[tuple[str, tuple[Anchor, ...]]]:
    """Conditions of which each alone is necessary: a path, and anchors of which its value must have one."""
    for part in rule.fields:
        for kind in (PREFIX, SUFFIX):
            anchors = _anchors(part, kind)
            if anchors is not None:
                yield part.path, anchors
                if all(found == EXACT for found, _ in anchors):
                    break


def _anchors(part: Field, kind: int) -> tuple[Anchor, ...] | None:
    """One anchor for each entry of the field, None when an entry has none; `kind` is how wildcards are filed."""
    found = {_anchor(entry, kind) for entry in part.entries}
    return None if None in found else tuple(sorted((a for a in found if a is not None), key=repr))


def _anchor(entry: Entry, kind: int) -> Anchor | None:
    anchor: Anchor | None = None
    match entry:
        case pattern.Text(text):
            anchor = EXACT, text
        # A number can pass for an address (`Address.number_test`), but for none with a zero or a letter in front.
        case pattern.Address(octets) if octets.hex()[0] in "0abcdef":
            anchor = EXACT, octets
        case pattern.Number(number) if (double := pattern.as_double(number)) is not None:
            anchor = EXACT, double
        # A quotation mark may mean the one around the value (`texts.starts_with`).
        case pattern.Prefix(text, ignore_case=False) if text and not text.endswith('"'):
            anchor = PREFIX, text
        case pattern.Suffix(text, ignore_case=False) if text and not text.startswith('"'):
            anchor = SUFFIX, text
        case pattern.Wildcard((text,)):
            anchor = EXACT, text
        case pattern.Wildcard(pieces) if text := pieces[0 if kind == PREFIX else -1]:
            anchor = kind, text
    return anchor


@dataclass
class _Table:
    """The rules that ask for the value of one path."""

    exact: dict[Hashable, list[int]] = field(default_factory=dict)
    prefixes: dict[Hashable, list[int]] = field(default_factory=dict)
    suffixes: dict[Hashable, list[int]] = field(default_factory=dict)
    prefix_lengths: list[int] = field(default_factory=list)
    suffix_lengths: list[int] = field(default_factory=list)
    has_addresses: bool = False

    def file(self, anchors: Iterable[Anchor], number: int) -> None:
        """Remember a rule that needs one of these."""
        for kind, key in anchors:
            if kind == EXACT:
                self.exact.setdefault(key, []).append(number)
                self.has_addresses = self.has_addresses or isinstance(key, bytes)
                continue
            ends, lengths = (
                (self.prefixes, self.prefix_lengths) if kind == PREFIX else (self.suffixes, self.suffix_lengths)
            )
            ends.setdefault(key, []).append(number)
            if len(str(key)) not in lengths:
                lengths.append(len(str(key)))

    def look_up(self, value: Any, candidates: list[int]) -> None:
        """Add the rules that this value may satisfy."""
        if value.__class__ is str:
            if value in self.exact:
                candidates += self.exact[value]
            for length in self.prefix_lengths:
                candidates += self.prefixes.get(value[:length], ())
            for length in self.suffix_lengths:
                candidates += self.suffixes.get(value[-length:], ())
            if self.has_addresses:
                candidates += self.exact.get(pattern.as_address(value), ())
        elif isinstance(value, int | float) and value.__class__ is not bool:
            double = pattern.as_double(value)
            if double is not None:
                candidates += self.exact.get(double, ())


@dataclass
class _Node:
    """One step of the paths that have tables, to be walked together with the event."""

    tables: dict[str, _Table] = field(default_factory=dict)
    inner: dict[str, _Node] = field(default_factory=dict)

    def place(self, steps: list[str], table: _Table) -> None:
        """Put a table at the end of its path."""
        step, *rest = steps
        if rest:
            self.inner.setdefault(step, _Node()).place(rest, table)
        else:
            self.tables[step] = table

    def collect(self, node: Mapping[str, Any], candidates: list[int]) -> bool:
        """Add the candidates of one dict of the event; False when an array or a dotted key makes paths ambiguous."""
        tables, inner = self.tables, self.inner
        # Whichever is shorter: an index over 10,000 fields must not cost an event of ten fields 10,000 steps.
        for name in tables if len(tables) <= len(node) else node.keys() & tables.keys():
            value = node.get(name)
            if value.__class__ is list or value.__class__ is tuple:
                return False
            tables[name].look_up(value, candidates)
        if not inner:
            return True
        if "." in "".join(node):
            return False
        for name in inner if len(inner) <= len(node) else node.keys() & inner.keys():
            child = node.get(name)
            if child.__class__ is dict:
                if not inner[name].collect(child, candidates):
                    return False
            elif isinstance(child, list | tuple | Mapping):
                return False
        return True
