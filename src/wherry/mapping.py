"""Values of the job file that are filled in when a run starts: `$.path`, and `${...}` inside longer text.

A value that begins with `$.` (or `$[`, or is `$` alone) is one path into the event, as EventBridge writes it: names of
letters, digits, `-` and `_`, and indices `[0]`. Inside text, `${event.PATH}` is the same thing, `${bucket.NAME}` the
physical name of a bucket, `${queue.NAME.url}` a queue's URL, `${interval.start}` and `${interval.end}` what a scheduled
run covers, `${event.file}` the file that a queue's message came as. `$${` is a plain `${`.

Source: Amazon EventBridge User Guide, "Amazon EventBridge input transformation".
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from wherry.errors import MappingError, MissingValue
from wherry.model import did_you_mean

Kind = Literal["event", "bucket", "queue", "interval", "file"]
#: Names and indices on the way into the event.
Steps = tuple[str | int, ...]

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[([0-9]{1,9})\]")
_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_MOST_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Context:
    """What references are filled with."""

    event: Mapping[str, Any] | None = None
    #: Name in the job file -> physical name.
    buckets: Mapping[str, str] = field(default_factory=dict)
    #: Name in the job file -> URL.
    queues: Mapping[str, str] = field(default_factory=dict)
    #: Start and end of what a scheduled run covers.
    interval: tuple[str, str] | None = None
    #: The file that a queue's message came as.
    file: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One thing to be filled in."""

    kind: Kind
    #: As it was written.
    text: str
    #: Where it begins in the value, from 0.
    offset: int
    #: The way into the event; of an `event` reference.
    steps: Steps = ()
    #: The bucket's or queue's name, or `start` or `end`.
    name: str = ""

    @property
    def is_safe_in_shell(self) -> bool:
        """True when nobody outside decides what it will be: such a text can stand in a shell command."""
        return self.kind in ("bucket", "queue", "interval")

    def value(self, context: Context) -> str:
        """What it stands for, as text; raises MissingValue."""
        match self.kind:
            case "event":
                return to_text(_follow(self, context.event))
            case "bucket":
                return _named(self, context.buckets)
            case "queue":
                return _named(self, context.queues)
            case "interval":
                if context.interval is None:
                    raise MissingValue(f"`{self.text}` needs a run that covers an interval: a scheduled one")
                return context.interval[self.name == "end"]
            case "file":
                if context.file is None:
                    raise MissingValue(f"`{self.text}` needs a run that a queue's message started")
                return context.file


@dataclass(frozen=True)
class Template:
    """A value, taken apart: plain text and references in turn."""

    parts: tuple[str | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references, in order."""
        return tuple(part for part in self.parts if isinstance(part, Reference))

    def render(self, context: Context) -> str:
        """The value, filled in; raises MissingValue."""
        return "".join(part if isinstance(part, str) else part.value(context) for part in self.parts)


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Template:
    """Take a value apart; raises MappingError."""
    if text == "$" or text.startswith(("$.", "$[")):
        return Template((Reference(kind="event", text=text, offset=0, steps=_steps(text, text[1:])),))
    parts: list[str | Reference] = []
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match[0] == "$${":
            parts.append("${")
        elif not match[2]:
            raise MappingError(f"`{match[0][:30]}` has no end", hint="close it with `}`, or write `$${` for `${` itself")
        else:
            parts.append(_reference(match[1], match[0], match.start()))
    parts.append(text[end:])
    return Template(tuple(part for part in parts if part != ""))


def to_text(value: Any) -> str:
    """A value of an event as text: strings as they are, everything else as compact JSON, whole numbers without `.0`."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _reference(inner: str, text: str, offset: int) -> Reference:
    space, _, rest = inner.partition(".")
    match space:
        case "event" if inner == "event.file":
            return Reference(kind="file", text=text, offset=offset)
        case "event":
            return Reference(kind="event", text=text, offset=offset, steps=_steps(text, inner[len("event") :]))
        case "bucket" if _is_name(rest):
            return Reference(kind="bucket", text=text, offset=offset, name=rest)
        case "queue" if rest.endswith(".url") and _NAME.fullmatch(rest.removesuffix(".url")):
            return Reference(kind="queue", text=text, offset=offset, name=rest.removesuffix(".url"))
        case "interval" if rest in ("start", "end"):
            return Reference(kind="interval", text=text, offset=offset, name=rest)
    raise MappingError(f"`{text}` cannot be filled in", hint=_advice(inner, space))


def _is_name(text: str) -> bool:
    """True for what can be a bucket's name, dots included."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is not None


def _advice(inner: str, space: str) -> str:
    shapes = {
        "bucket": "write `${bucket.NAME}`",
        "queue": "write `${queue.NAME.url}`",
        "interval": "there are `${interval.start}` and `${interval.end}`",
    }
    if space in shapes:
        return shapes[space]
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", inner):
        return f"for the shell's own variable write `${inner}`, or `$${{{inner}}}` for the text itself"
    return "there are `${event.PATH}`, `${bucket.NAME}`, `${queue.NAME.url}`, `${interval.start}` and `${interval.end}`"


def _steps(text: str, path: str) -> Steps:
    """The steps of `.name[0].other`; raises MappingError for what EventBridge would refuse."""
    steps: list[str | int] = []
    end = 0
    while end < len(path):
        match = _STEP.match(path, end)
        if not match:
            raise MappingError(f"`{text}` is not a path: stuck at `{path[end:]}`", hint=_path_advice(path[end:]))
        steps.append(match[1] if match[1] is not None else int(match[2]))
        end = match.end()
    return tuple(steps)


def _path_advice(rest: str) -> str:
    if rest.startswith((".*", "[*")):
        return "`*` would be many values: name one, as in `$.detail.items[0]`"
    if rest.startswith(".."):
        return "there is no `..`: write the whole way"
    if rest.startswith("[?"):
        return "there are no filters in an event path"
    if rest.startswith(("['", '["')):
        return "EventBridge has no quoted names: a path is `$.detail.name[0]`"
    return "a path is names of letters, digits, - and _, and indices: `$.detail.items[0].name`"


def _follow(reference: Reference, event: Mapping[str, Any] | None) -> Any:
    if event is None:
        raise MissingValue(f"`{reference.text}` needs an event")
    value: Any = event
    walked = ""
    for step in reference.steps:
        here = walked or "the event"
        if isinstance(step, str):
            walked = f"{walked}.{step}" if walked else step
            if not isinstance(value, Mapping) or step not in value:
                raise _missing(walked, here, step, value)
        else:
            walked = f"{walked}[{step}]"
            if not _is_list(value) or step >= len(value):
                raise _missing(walked, here, step, value)
        value = value[step]
    return value


def _missing(path: str, here: str, step: str | int, value: Any) -> MissingValue:
    what, hint = _what_is_there(step, value)
    where = here if here == "the event" else f"`{here}`"
    return MissingValue(f"the event has no `{path}`: {where} {what}", hint=hint)


def _what_is_there(step: str | int, value: Any) -> tuple[str, str | None]:
    if isinstance(value, Mapping):
        names = list(value)
        shown = ", ".join(f"`{name}`" for name in names[:_MOST_SHOWN]) + (", ..." if len(names) > _MOST_SHOWN else "")
        hint = did_you_mean(step, names) if isinstance(step, str) else None
        return f"has {shown}" if names else "is empty", hint if hint and hint.startswith("did") else None
    if _is_list(value):
        return f"is a list of {len(value)}", f"write `[0]` to `[{len(value) - 1}]`" if value else None
    return f"is {to_text(value)[:40]!r}, which has no parts", None


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _named(reference: Reference, names: Mapping[str, str]) -> str:
    if reference.name not in names:
        raise MissingValue(f"`{reference.text}`: there is no {reference.kind} `{reference.name}` in the job file")
    return names[reference.name]
