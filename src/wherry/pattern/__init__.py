"""EventBridge's event patterns: which events a trigger wants.

`parse` makes a frozen `Pattern` of a document or a JSON text, or raises PatternError with EventBridge's own reason;
`Pattern.matches` answers as EventBridge does; `Pattern.explain` says why not. Sources: EventBridge User Guide ("Event
patterns", "Comparison operators"), and the code of aws/event-ruler, which is the matcher that EventBridge uses.

How it works, in stages with plain data between them:

- `parser` and `operators`: JSON -> rules of fields of entries (`entries`), `$or` multiplied out,
- `quick`: rules -> functions for events without arrays on the way to a field; a few microseconds,
- `rigorous` over `flat`: the same for all events, knowing which array element a value stands in.

Not checked: the complexity of wildcards, for which AWS publishes no limit ("Rule is too complex").
"""

from wherry.pattern.entries import (
    Address,
    AnythingBut,
    Constant,
    Entry,
    Exists,
    Field,
    IgnoreCase,
    Network,
    Number,
    Prefix,
    Range,
    Suffix,
    Text,
    Wildcard,
)
from wherry.pattern.flat import occurrences, prefixes
from wherry.pattern.literals import as_address, as_double, loads
from wherry.pattern.model import Pattern, Rule
from wherry.pattern.parser import parse

__all__ = [
    "Address",
    "AnythingBut",
    "Constant",
    "Entry",
    "Exists",
    "Field",
    "IgnoreCase",
    "Network",
    "Number",
    "Pattern",
    "Prefix",
    "Range",
    "Rule",
    "Suffix",
    "Text",
    "Wildcard",
    "as_address",
    "as_double",
    "loads",
    "occurrences",
    "parse",
    "prefixes",
]
