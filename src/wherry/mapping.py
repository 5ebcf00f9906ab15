"""Values in the job file: `$.detail.object.key`, and `${...}` within longer text.

`parse` makes a frozen `Template`, which `render` fills from a `Context`. A value that is nothing but a path is written
as EventBridge writes it (`$.path`; User Guide, "Amazon EventBridge input transformation": the subset of JSONPath with
dots, dashes, underscores and array indices). In longer text the same path stands as `${event.path}`; `$${` is a literal
`${`, and any other `$`, as in `$5` or `$HOME`, is itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, NoReturn

from wherry.errors import MappingError, MissingValue

Kind = Literal["event", "file", "bucket", "queue", "bus", "interval"]
Step = str | int

_STEP: Final = re.compile(r"\.([A-Za-z0-9_-]+)|\[([0-9]{1,9})\]")
_MOST_NAMES: Final = 10
_LONGEST: Final = 80
#: From here on JavaScript, and so JSONata's `$string`, writes whole numbers with an exponent.
_EXPONENT_FROM: Final = 1e21
_NAMESPACES: Final = ("event", "bucket", "queue", "bus", "interval")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What references can name when a value is rendered."""

    #: The event's document, None when there is no event.
    event: Mapping[str, Any] | None = None
    #: Name in the job file -> physical name.
    buckets: Mapping[str, str] = field(default_factory=dict)
    #: Name in the job file -> URL.
    queues: Mapping[str, str] = field(default_factory=dict)
    #: The event bus as PutEvents takes it: a name, or the ARN of another account's.
    bus: str = "default"
    #: [start, end) of a scheduled run, as ISO 8601.
    interval: tuple[str, str] | None = None
    #: The path of the message's file, None outside queue jobs.
    file: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One `$.path` or `${...}` of a template."""

    kind: Kind
    #: As it stands in the text.
    written: str
    #: Characters before it in the text.
    offset: int
    #: The bucket's or queue's name, or `start` or `end` of the interval; empty for the event, its file and the bus.
    name: str = ""
    #: The path into the event; none for the whole of it.
    steps: tuple[Step, ...] = ()

    @property
    def is_safe_in_shell(self) -> bool:
        """True when the value cannot hold anything that a shell would execute: names and times of our own making.

        What comes with an event, its file's path included, is anybody's text.
        """
        return self.kind in ("bucket", "queue", "bus", "interval")

    def resolve(self, context: Context) -> str:
        """The value as text; raises MissingValue with what is there instead."""
        match self.kind:
            case "event":
                return as_text(_follow(self, context.event))
            case "bucket":
                return _named(self, context.buckets)
            case "queue":
                return _named(self, context.queues)
            case "bus":
                return context.bus
            case "interval":
                if context.interval is None:
                    raise MissingValue(
                        f"`{self.written}` needs a run that covers an interval, as scheduled ones do",
                        hint="""by hand: --event '{"interval": {"start": "2026-03-01", "end": "2026-03-02"}}'""",
                    )
                return context.interval[0 if self.name == "start" else 1]
            case "file":
                if context.file is None:
                    raise MissingValue(f"`{self.written}` needs a message of a queue")
                return context.file


@dataclass(frozen=True)
class Template:
    """A value of the job file, understood: literal text and references in their order."""

    parts: tuple[str | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references, in the order of the text."""
        return tuple(part for part in self.parts if isinstance(part, Reference))

    def render(self, context: Context) -> str:
        """The text with every reference replaced; raises MissingValue, also for a bucket or queue the context lacks."""
        return "".join(part if isinstance(part, str) else part.resolve(context) for part in self.parts)


def parse(text: str) -> Template:
    """Understand a value; raises MappingError for a path or `${...}` that cannot be."""
    if text == "$" or text.startswith(("$.", "$[")):
        steps = _parse_path(text[1:], written=text)
        return Template((Reference(kind="event", written=text, offset=0, steps=steps),))
    parts: list[str | Reference] = []
    literal, at = "", 0
    while at < len(text):
        if text.startswith("$${", at):
            literal, at = f"{literal}${{", at + 3
        elif text.startswith("${", at):
            reference = _parse_reference(text, at)
            parts += [literal, reference] if literal else [reference]
            literal, at = "", at + len(reference.written)
        else:
            following = text.find("$", at + 1)
            end = len(text) if following < 0 else following
            literal, at = literal + text[at:end], end
    return Template(tuple([*parts, literal] if literal or not parts else parts))


def as_text(value: Any) -> str:
    """A JSON value as text, as JSONata's `$string` writes it: text as it is, anything else as compact JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return _number(value)
    return json.dumps(_whole_numbers(value), ensure_ascii=False, separators=(",", ":"))


def _number(value: float) -> str:
    """A double as JavaScript writes it: `5`, `0.1`, `1e+21`, `1e-7`."""
    if value.is_integer() and abs(value) < _EXPONENT_FROM:
        return str(int(value))
    mantissa, e, exponent = repr(value).partition("e")
    if not e:
        return mantissa if mantissa[-1].isdigit() else json.dumps(value)
    if -7 < int(exponent) < 0:
        return format(Decimal(repr(value)), "f")
    return f"{mantissa}e{int(exponent):+d}"


def _whole_numbers(value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _whole_numbers(item) for name, item in value.items()}
        case list() | tuple():
            return [_whole_numbers(item) for item in value]
        case float() if value.is_integer() and abs(value) < _EXPONENT_FROM:
            return int(value)
        case _:
            return value


# ------------------------------------------------------------------------------------------------- reading


def _parse_reference(text: str, at: int) -> Reference:
    end = text.find("}", at)
    if end < 0:
        raise MappingError(
            f"`{_cut(text[at:])}` has no closing `}}`", hint="close it, or write `$${` for the text `${` itself"
        )
    written, inner = text[at : end + 1], text[at + 2 : end]
    if not inner.strip():
        raise MappingError(f"`{written}` is empty", hint="for example `${event.detail.object.key}`")
    namespace = re.split(r"[.\[]", inner, maxsplit=1)[0]
    rest = inner[len(namespace) :]
    if namespace not in _NAMESPACES:
        _refuse_namespace(written, inner, namespace)
    match namespace:
        case "event" if rest == ".file":
            return Reference(kind="file", written=written, offset=at)
        case "event":
            return Reference(kind="event", written=written, offset=at, steps=_parse_path(rest, written=written))
        case "bucket":
            return Reference(kind="bucket", written=written, offset=at, name=_parse_bucket(rest, written))
        case "queue":
            return Reference(kind="queue", written=written, offset=at, name=_parse_queue(rest, written))
        case "bus":
            if rest:
                raise MappingError(f"`{written}`: the bus has no parts", hint="write `${bus}`")
            return Reference(kind="bus", written=written, offset=at)
        case _:
            return Reference(kind="interval", written=written, offset=at, name=_parse_interval(rest, written))


def _parse_bucket(rest: str, written: str) -> str:
    found = re.fullmatch(r"\.([A-Za-z0-9][A-Za-z0-9._-]*)", rest)
    if not found:
        raise MappingError(f"`{written}` names no bucket", hint="write `${bucket.NAME}`")
    return found[1]


def _parse_queue(rest: str, written: str) -> str:
    found = re.fullmatch(r"\.([A-Za-z0-9_-]+(?:\.fifo)?)\.url", rest)
    if found:
        return found[1]
    name = re.fullmatch(r"\.([A-Za-z0-9_-]+(?:\.fifo)?)(?:\..*)?", rest)
    raise MappingError(
        f"`{written}` is not a queue's URL", hint=f"write `${{queue.{name[1] if name else 'NAME'}.url}}`"
    )


def _parse_interval(rest: str, written: str) -> str:
    if rest not in (".start", ".end"):
        raise MappingError(
            f"`{written}` is no bound of an interval", hint="write `${interval.start}` or `${interval.end}`"
        )
    return rest[1:]


def _refuse_namespace(written: str, inner: str, namespace: str) -> NoReturn:
    if inner != inner.strip():
        raise MappingError(f"`{written}` has spaces", hint=f"write `${{{inner.strip()}}}`")
    meant = _nearest(namespace, _NAMESPACES)
    if meant and inner != namespace:
        raise MappingError(f"`{written}` is unknown", hint=f"did you mean `${{{meant[0]}{inner[len(namespace) :]}}}`?")
    own = f"`${namespace}`, or " if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", inner) else ""
    raise MappingError(
        f"`{written}` is unknown: there are `event`, `bucket`, `queue`, `bus` and `interval`",
        hint=f"for the shell's own variable write {own}`${written}` for the text itself",
    )


def _parse_path(path: str, *, written: str) -> tuple[Step, ...]:
    """The steps of `.detail.items[0]`; raises MappingError for what EventBridge's paths do not have."""
    steps: list[Step] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if not found:
            _refuse_step(path[at:], written)
        steps.append(found[1] if found[2] is None else int(found[2]))
        at = found.end()
    return tuple(steps)


#: How something that is no step begins -> what it is, and what to do.
_NOT_STEPS: Final = (
    ("..", "`..` is not possible", "name every step of the path"),
    (".*", "`*` is not possible", "name one field or item, or take the whole with its path"),
    ("[*", "`*` is not possible", "name one field or item, or take the whole with its path"),
    ("[?", "filters are not possible", "take the list with its path and filter it in the job"),
    ("['", "quoted names are not possible", "names with dots or spaces cannot be reached; take the object around it"),
    ('["', "quoted names are not possible", "names with dots or spaces cannot be reached; take the object around it"),
    ("[-", "an index counts from the start", "write `[0]` for the first item"),
    ("[", "an index is a number in brackets", "for example `[0]`"),
    (".", "a name is missing after the dot", "names have letters, digits, `-` and `_`"),
)


def _refuse_step(rest: str, written: str) -> NoReturn:
    for beginning, problem, hint in _NOT_STEPS:
        if rest.startswith(beginning) and (len(beginning) > 1 or not re.match(r"\.[A-Za-z0-9_-]", rest)):
            raise MappingError(f"`{written}` is no path into an event: {problem}", hint=hint)
    raise MappingError(
        f"`{written}` is no path into an event: `{_cut(rest)}` is no step of it",
        hint="a path stands alone; within longer text write `${event.detail.…}`" if written[1] != "{" else None,
    )


# ------------------------------------------------------------------------------------------------- resolving


def _follow(reference: Reference, event: Mapping[str, Any] | None) -> Any:
    if event is None:
        raise MissingValue(f"`{reference.written}` needs an event, and there is none")
    node: Any = event
    for done, step in enumerate(reference.steps):
        if isinstance(node, Mapping):
            found = step in node
        else:
            found = isinstance(node, list | tuple) and isinstance(step, int) and step < len(node)
        if not found:
            _refuse_missing(reference.steps, done, node)
        node = node[step]
    return node


def _refuse_missing(steps: Sequence[Step], done: int, node: Any) -> NoReturn:
    step, so_far = steps[done], _path(steps[:done])
    where = f"`{so_far}`" if so_far else "it"
    hint: str | None = None
    match node:
        case Mapping() if isinstance(step, int):
            there, hint = "is an object", f"its fields are reached by name, not by `[{step}]`"
        case Mapping():
            there = f"has {_listed(node)}"
            meant = _nearest(str(step), [str(name) for name in node])
            if meant:
                hint = f"did you mean `{_path([*steps[:done], meant[0]])}`?"
        case list() | tuple() if isinstance(step, str):
            there, hint = "is a list", f"its items are reached by number: `{so_far}[0]`"
        case list() | tuple():
            there = "is an empty list" if not node else f"has {len(node)} item{'s' if len(node) > 1 else ''}"
            hint = "the first item is `[0]`" if node and step == len(node) else None
        case _:
            there = f"is {_cut(json.dumps(node, ensure_ascii=False, default=repr))}, which has no parts"
    raise MissingValue(f"the event has no `{_path(steps)}`: {where} {there}", hint=hint)


def _listed(node: Mapping[str, Any]) -> str:
    names = [f"`{name}`" for name in node]
    more = [f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    return ", ".join([*names[:_MOST_NAMES], *more]) or "no fields"


def _path(steps: Iterable[Step]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _named(reference: Reference, values: Mapping[str, str]) -> str:
    if reference.name in values:
        return values[reference.name]
    meant = _nearest(reference.name, values)
    raise MissingValue(
        f"`{reference.written}`: there is no {reference.kind} `{reference.name}`",
        hint=f"did you mean `{meant[0]}`?" if meant else None,
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _nearest(word: str, words: Iterable[str]) -> list[str]:
    import difflib  # costs 10 ms, and only mistakes need it

    return difflib.get_close_matches(word, list(words), n=1)
