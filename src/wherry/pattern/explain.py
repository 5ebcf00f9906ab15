"""Why an event does not match, for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from wherry.pattern.entries import Field
from wherry.pattern.flat import Occurrences, occurrences, prefixes

_LONGEST: Final = 200
_MOST_VALUES: Final = 5


def explain(rules: Sequence[tuple[Field, ...]], event: Mapping[str, Any]) -> str:
    """One sentence about an event that matches none of the rules: the first failing field of the nearest rule."""
    paths = {field.path for rule in rules for field in rule}
    found = occurrences(event, prefixes(paths))
    failing = [[field for field in _shallow_first(rule) if not _passes(field, found)] for rule in rules]
    nearest = min(range(len(rules)), key=lambda index: len(failing[index]))
    if failing[nearest]:
        sentence = _about(failing[nearest][0], found, event)
    else:
        names = " and ".join(f"`{field.path}`" for field in rules[nearest])
        sentence = f"{names} match, but not in the same element of an array"
    return sentence if len(rules) == 1 else f"no branch of `$or` matches; the nearest: {sentence}"


def _shallow_first(rule: tuple[Field, ...]) -> list[Field]:
    """`source` and `detail-type` before the particulars, as people think."""
    return sorted(rule, key=lambda field: field.path.count("."))


def _passes(field: Field, found: Occurrences) -> bool:
    values = found.get(field.path)
    if values is None:
        return field.accepts_absence
    test = field.test()
    return any(test(value) for value, _ in values)


def _about(field: Field, found: Occurrences, event: Mapping[str, Any]) -> str:
    values = found.get(field.path)
    if values is None:
        return f"`{field.path}` is absent{_instead(field.path, event)}"
    shown = [_shown(value) for value, _ in values[:_MOST_VALUES]]
    if len(values) > _MOST_VALUES:
        shown.append(f"{len(values) - _MOST_VALUES} more")
    one_of = "" if len(values) == 1 else "one of "
    return f"`{field.path}` is {one_of}{', '.join(shown)}: no entry of {_cut(field.written)} matches"


def _instead(path: str, event: Mapping[str, Any]) -> str:
    """What stands at the path although it is no value; nothing for a plain absence."""
    node: Any = event
    for step in path.split("."):
        if not isinstance(node, Mapping) or step not in node:
            return ""
        node = node[step]
    return ": an object is no value" if isinstance(node, Mapping) else ": there is an empty list"


def _shown(value: object) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, default=repr))


def _cut(text: str) -> str:
    # Half of a surrogate pair can stand in JSON and cannot be printed.
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
