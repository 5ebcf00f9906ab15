"""From a pattern's JSON to a Pattern: fields by path, `$or` multiplied out, everything EventBridge refuses refused.

The result is what event-ruler puts into its machine: one set of fields for each combination of `$or` branches, in which
of two values for the same path the later one stands (`JsonRuleCompiler`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from wherry.errors import PatternError
from wherry.pattern.entries import Entry, Field, IgnoreCase, StrayedIgnoreCase, Wildcard
from wherry.pattern.literals import HugeNumber, loads
from wherry.pattern.model import Pattern, Rule
from wherry.pattern.operators import Refusal, read_entry

#: Characters of a pattern, as minified JSON (EventBridge quotas; can be raised by AWS).
LONGEST_PATTERN: Final = 2048
#: The product of the branch counts of all `$or`s (User Guide, "Matching on multiple fields using $or").
MOST_COMBINATIONS: Final = 1000
#: No field inside `$or` may be called so: event-ruler would take the object for an operator (`Constants`).
RESERVED: Final = frozenset(
    {
        *("exactly", "prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "exists", "numeric", "cidr"),
        *("=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "in-date-range"),
        *("date-after", "date-on-or-after", "date-before", "date-on-or-before"),
        *("ip-address-in-range", "ip-address-not-in-range"),
    }
)

_Branch = dict[str, Field]


def parse(source: str | Mapping[str, Any]) -> Pattern:
    """The pattern that a JSON text or document means.

    Raises PatternError with EventBridge's own reason where it would refuse the pattern; the hint names the field. A
    text that is not JSON is refused with line and column.
    """
    document = loads(source) if isinstance(source, str) else source
    if not isinstance(document, Mapping):
        raise PatternError("Filter is not an object", hint='a pattern is an object: {"source": ["aws.s3"]}')
    try:
        pattern = Pattern(tuple(_rule(branch) for branch in _branches(document)))
        size = len(_minified(document))
    except RecursionError:
        raise PatternError("the pattern is nested too deeply") from None
    if size > LONGEST_PATTERN:
        raise PatternError(f"the pattern has {size} characters, which exceeds limit of {LONGEST_PATTERN}")
    return pattern


def _rule(branch: _Branch) -> Rule:
    # Java's order of strings, by UTF-16 unit: with arrays in the event it decides what `exists: false` sees.
    return Rule(tuple(sorted(branch.values(), key=lambda field: field.path.encode("utf-16-be", "surrogatepass"))))


def _branches(document: Mapping[str, Any]) -> list[_Branch]:
    """The combinations; where `$or` cannot be an alternative it may still be the name of a field.

    event-ruler does the same: what its compiler refuses goes through the older one, which knows no `$or`.
    """
    compiler = _Compiler(or_is_a_name=False)
    try:
        return compiler.object([{}], None, document, within_or=False)
    except PatternError as refusal:
        if not compiler.saw_or:
            raise
        try:
            return _Compiler(or_is_a_name=True).object([{}], None, document, within_or=False)
        except PatternError as second:
            if not isinstance(refusal, _OrMisused):
                raise refusal from None
            # The first half is what is wrong, the second is what AWS says.
            raise PatternError(f"{refusal.message} ({second.message})", hint=refusal.hint) from None


class _OrMisused(PatternError):
    """A `$or` that is not a list of alternatives."""


class _Compiler:
    """One pass over the document."""

    def __init__(self, *, or_is_a_name: bool) -> None:
        self._or_is_a_name = or_is_a_name
        self._combinations = 1
        self.saw_or = False

    def object(
        self, branches: list[_Branch], path: str | None, node: Mapping[str, Any], *, within_or: bool
    ) -> list[_Branch]:
        """Add the fields of an object to every combination so far; gives the combinations."""
        if not node:
            raise PatternError("Empty objects are not allowed", hint=_at(path))
        for name, value in node.items():
            if not isinstance(name, str):
                raise PatternError(f"the name of a field must be text, not {name!r}", hint=_at(path))
            if name == "$or" and not self._or_is_a_name:
                branches = self._alternatives(branches, path, value)
                continue
            if within_or and name in RESERVED:
                raise _OrMisused(f"{name} is Ruler reserved fieldName which cannot be used inside $or.", hint=_at(path))
            here = name if path is None else f"{path}.{name}"
            if isinstance(value, Mapping):
                branches = self.object(branches, here, value, within_or=within_or)
            elif isinstance(value, list | tuple):
                field = _field(here, value)
                for branch in branches:
                    branch[here] = field
            else:
                raise PatternError(
                    f'"{name}" must be an object or an array', hint=f"write the value of `{here}` as a list: [...]"
                )
        return branches

    def _alternatives(self, branches: list[_Branch], path: str | None, value: Any) -> list[_Branch]:
        self.saw_or = True
        if not isinstance(value, list | tuple):
            raise _OrMisused("It must be an Array followed with $or.", hint=_at(path))
        self._combinations *= max(1, len(value))
        if self._combinations > MOST_COMBINATIONS:
            raise PatternError(
                f"the $or lists make {self._combinations} combinations, more than {MOST_COMBINATIONS}",
                hint=_at(path),
            )
        combined: list[_Branch] = []
        for alternative in value:
            if not isinstance(alternative, Mapping):
                raise _OrMisused("Only JSON object is allowed in array of $or relationship.", hint=_at(path))
            copies = [dict(branch) for branch in branches]
            combined += self.object(copies, path, alternative, within_or=True)
        if len(value) < 2:
            raise _OrMisused("There must have at least 2 Objects in $or relationship.", hint=_at(path))
        return combined


def _field(path: str, values: Sequence[Any]) -> Field:
    try:
        entries = _as_they_are_filed([read_entry(value) for value in values])
    except Refusal as refusal:
        raise PatternError(str(refusal), hint=_at(path)) from None
    if not entries:
        raise PatternError("Empty arrays are not allowed", hint=_at(path))
    return Field(path=path, entries=entries, written=_minified(values))


def _as_they_are_filed(entries: list[Entry]) -> tuple[Entry, ...]:
    """The entries as event-ruler's machine knows them; one behind another may lose its way."""
    filed: list[Entry] = []
    behind_star = False
    for entry in entries:
        if behind_star and isinstance(entry, IgnoreCase) and entry.text:
            filed.append(StrayedIgnoreCase(entry.text))
        else:
            filed.append(entry)
        behind_star = behind_star or (isinstance(entry, Wildcard) and entry.pieces[0] == "" and len(entry.pieces) > 1)
    return tuple(filed)


def _at(path: str | None) -> str:
    return "look at the pattern itself" if path is None else f"look at `{path}`"


def _minified(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """JSON for `json.dumps`: it knows neither other mappings nor numbers that Python cannot print."""
    match value:
        case Mapping():
            return {name: _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case HugeNumber():
            return value.text
        case _:
            return value
