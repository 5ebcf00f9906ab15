"""JSONata, as far as the machines need it: texts, paths into the event, values of the job file as expressions.

Step Functions evaluates what stands between `{%` and `%}` (Developer Guide, "Transforming data with JSONata"). Values
of events are read step by step with `$at`, which is strict where JSONata's own paths are not: those map over lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from wherry.mapping import Reference, Step, Template

#: `$at(node, step)`: a field of an object or an item of a list, nothing of anything else.
AT = (
    '$at := function($node, $step) { $type($step) = "number" ? ($type($node) = "array" ? $node[$step])'
    ' : ($type($node) = "object" ? $lookup($node, $step)) };'
)

#: What the bus is called where the values of buckets and queues stand, too (`key`): no bucket can have this name.
BUS = "bus:"
#: Nothing: the file of a message is the worker's, and no run that a machine starts has one.
_NO_FILE = '$lookup({}, "file")'


def expression(text: str) -> str:
    """A value of a machine that is evaluated."""
    return "{% " + text + " %}"


def literal(text: str) -> str:
    """A text as an expression. A percent sign is escaped so that nothing looks like the end of the expression."""
    return json.dumps(text).replace("%", "\\u0025")


def path(steps: tuple[Step, ...], root: str = "$event") -> str:
    """The value at a path into the event; needs `AT` before it."""
    found = root
    for step in steps:
        found = f"$at({found}, {literal(step) if isinstance(step, str) else step})"
    return found


def value(template: Template, named: Mapping[str, str]) -> str:
    """A template of the job file as an expression that gives its text; `named` are expressions (`key`).

    In a queue's one CloudFormation puts the URL; so `${` is escaped where it is only text.
    """
    return " & ".join(
        literal(part).replace("${", "\\u0024{") if isinstance(part, str) else _reference(part, named)
        for part in template.parts
    )


def _reference(reference: Reference, named: Mapping[str, str]) -> str:
    match reference.kind:
        case "bucket" | "queue" | "bus":
            return named[key(reference)]
        case "interval":
            return path(("detail", "interval", reference.name))
        case "file":
            return _NO_FILE
        case _:
            return f"$string({path(reference.steps)})"


def key(reference: Reference) -> str:
    """What a reference to a bucket, a queue or the bus is called where the values of all of them stand together."""
    match reference.kind:
        case "queue":
            return queue_key(reference.name)
        case "bus":
            return BUS
        case _:
            return reference.name


def queue_key(name: str) -> str:
    """The same, for the URL of a queue: no bucket can have this name."""
    return f"queue:{name}"


def needs(template: Template) -> list[tuple[str, str]]:
    """What an event must have: (expression of the value, what is said when it is missing)."""
    wanted = []
    for reference in template.references:
        if reference.kind == "event":
            shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in reference.steps)
            wanted.append((path(reference.steps), f"the event has no `{shown.removeprefix('.')}`"))
        elif reference.kind == "interval":
            said = f"`{reference.written}` needs a run that covers an interval, as scheduled ones do"
            wanted.append((path(("detail", "interval", reference.name)), said))
        elif reference.kind == "file":
            wanted.append((_NO_FILE, f"`{reference.written}` needs a message of a queue"))
    return wanted


def is_dynamic(template: Template) -> bool:
    """True when the text is known only when a run starts."""
    return any(reference.kind in ("event", "interval", "file") for reference in template.references)


def physical(name: str) -> str:
    """A physical name with CloudFormation's `${AWS::AccountId}` and `${AWS::Region}` as an expression."""
    where = '$split($states.context.Execution.Id, ":")'
    return " & ".join(
        {"${AWS::AccountId}": f"{where}[4]", "${AWS::Region}": f"{where}[3]"}.get(part) or literal(part)
        for part in re.split(r"(\$\{AWS::(?:AccountId|Region)\})", name)
        if part
    )
