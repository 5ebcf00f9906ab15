"""The pattern itself: rules of fields, and the three questions one can ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wherry.pattern import quick
from wherry.pattern.entries import Field
from wherry.pattern.explain import explain
from wherry.pattern.rigorous import Matcher


@dataclass(frozen=True)
class Rule:
    """Fields that must all match: a pattern without `$or`, or one combination of the branches of its `$or`s."""

    #: In Java's order of their paths; no path twice.
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Pattern:
    """An event pattern, compiled. Two patterns are equal when they have the same rules.

    `matches` is event-ruler's `rulesForJSONEvent`, the matcher of EventBridge. An event is a JSON document of dicts and
    lists, as `json.loads` or `wherry.pattern.loads` gives it.
    """

    #: One of them must match.
    rules: tuple[Rule, ...]
    _quick: Callable[[Mapping[str, Any]], bool | None] = field(init=False, repr=False, compare=False)
    _rigorous: Matcher = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_quick", quick.compile_rules([rule.fields for rule in self.rules]))
        object.__setattr__(self, "_rigorous", Matcher([rule.fields for rule in self.rules]))

    def matches(self, event: Mapping[str, Any]) -> bool:
        """True when EventBridge would deliver the event to a rule with this pattern."""
        verdict = self._quick(event)
        return self._rigorous.matches(event) if verdict is None else verdict

    def matches_rigorously(self, event: Mapping[str, Any]) -> bool:
        """The same answer by the way that knows arrays, without the shortcut for events that have none."""
        return self._rigorous.matches(event)

    def explain(self, event: Mapping[str, Any]) -> str | None:
        """Why the event does not match, in one sentence for people; None when it does."""
        if self.matches(event):
            return None
        return explain([rule.fields for rule in self.rules], event)
