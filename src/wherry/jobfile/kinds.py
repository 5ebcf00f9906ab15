"""The kinds of values that a job file has: each reads a node, and describes itself as JSON Schema.

`read` returns the value, or None after it has noted what is wrong; None is never a value. What reads on after a problem
finds the next one: a mistake in one job must not hide another job's.

Kinds are never compared or printed; that their records cannot be halves the time that importing this module takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from wherry.jobfile import values
from wherry.jobfile.names import NameRule
from wherry.jobfile.nodes import Mapping, Node, Scalar, number, shorten
from wherry.jobfile.report import Spot, is_empty

JsonSchema = dict[str, Any]
Value = TypeVar("Value")


class Kind(Protocol):
    """One kind of value."""

    @property
    def example(self) -> str:
        """How such a value is written, for hints."""
        ...

    def read(self, node: Node, spot: Spot) -> Any:
        """The value, or None after a problem was noted."""
        ...

    def schema(self) -> JsonSchema:
        """What JSON Schema can say of it."""
        ...


def read_value(kind: Kind, node: Node, spot: Spot) -> Any:
    """The value of a node, or None after a problem was noted; nothing is never a value."""
    if is_empty(node):
        hint = f"for example `{spot.name}: {kind.example}`" if spot.label.startswith("`") else None
        spot.problem(spot.place, f"{spot.label} has no value", hint)
        return None
    return kind.read(node, spot)


def text_of(node: Node, spot: Spot, demand: str) -> str | None:
    """The text of a scalar that is text, or None after a problem was noted."""
    if isinstance(node, Scalar) and node.type == "text":
        return node.text
    hint = f'put it in quotes: `"{shorten(node.text)}"`' if isinstance(node, Scalar) else None
    spot.refuse(node, demand, hint)
    return None


@dataclass(frozen=True, eq=False, repr=False)
class Text:
    """Text of any form, or of the form that a pattern demands."""

    demand: str = "text"
    example: str = "TEXT"
    pattern: str | None = None
    #: Regular expression of what people write instead -> what to do.
    mistaken: tuple[tuple[str, str], ...] = ()

    def read(self, node: Node, spot: Spot) -> str | None:
        """The text."""
        text = text_of(node, spot, self.demand)
        if text is None:
            return None
        if (self.pattern and not re.fullmatch(self.pattern, text)) or not text.strip():
            spot.refuse(node, self.demand, next((hint for form, hint in self.mistaken if re.search(form, text)), None))
            return None
        return text

    def schema(self) -> JsonSchema:
        """A string."""
        limits: JsonSchema = {"pattern": f"^({self.pattern})$"} if self.pattern else {}
        return {"type": "string", "minLength": 1, **limits}


@dataclass(frozen=True, eq=False, repr=False)
class KeyPart:
    """The beginning or end of an object's key."""

    example: str

    def read(self, node: Node, spot: Spot) -> str | None:
        """The text; a wildcard would be taken for itself and never match, so it is refused."""
        text = text_of(node, spot, "text")
        if text is None or "*" not in text:
            return text
        meant = text.strip("*")
        hint = f"write `{meant}`" if meant and "*" not in meant else "an `event` pattern can hold a `wildcard`"
        spot.problem(node.place, f"{spot.label} is plain text, so `*` in it would stand for itself", hint)
        return None

    def schema(self) -> JsonSchema:
        """A string without wildcards."""
        return {"type": "string", "pattern": r"^[^*]*$"}


@dataclass(frozen=True, eq=False, repr=False)
class Name:
    """A name of a thing, by its rule."""

    rule: NameRule
    example: str

    def read(self, node: Node, spot: Spot) -> str | None:
        """The name."""
        text = text_of(node, spot, f"the name of {article(self.rule.noun)}")
        if text is None:
            return None
        objection = self.rule.objection(text)
        if objection:
            refuse_name(self.rule, text, objection, node, spot)
            return None
        return text

    def schema(self) -> JsonSchema:
        """A string in the rule's form."""
        return {"type": "string", **self.rule.schema()}


def article(noun: str) -> str:
    """`a job`, `an app`."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def refuse_name(rule: NameRule, name: str, objection: str, node: Node, spot: Spot) -> None:
    """Note what is wrong with a name."""
    suggestion = rule.suggestion(name)
    hint = f"for example `{suggestion}`" if suggestion else None
    shown = f"the {rule.noun} name `{shorten(name)}`" if name else f"an empty {rule.noun} name is not possible: it"
    spot.problem(node.place, f"{shown} {objection}", hint)


@dataclass(frozen=True, eq=False, repr=False)
class Reference:
    """The name of a thing that the file declares elsewhere; whether it does is checked later."""

    noun: str
    example: str

    def read(self, node: Node, spot: Spot) -> str | None:
        """The name."""
        return text_of(node, spot, f"the name of {article(self.noun)}")

    def schema(self) -> JsonSchema:
        """A string."""
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True, eq=False, repr=False)
class Boolean:
    """`true` or `false`."""

    example: str = "true"

    def read(self, node: Node, spot: Spot) -> bool | None:
        """The truth value."""
        if isinstance(node, Scalar) and node.type == "boolean":
            return node.text.lower() == "true"
        spot.refuse(node, "`true` or `false`")
        return None

    def schema(self) -> JsonSchema:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, eq=False, repr=False)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def example(self) -> str:
        """The first word."""
        return self.words[0]

    def read(self, node: Node, spot: Spot) -> str | None:
        """The word."""
        if isinstance(node, Scalar) and node.text in self.words:
            return node.text
        words = [f"`{word}`" for word in self.words]
        demand = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
        spot.refuse(node, demand, self._nearest(node))
        return None

    def _nearest(self, node: Node) -> str | None:
        import difflib  # costs 10 ms, and only mistakes need it

        word = node.text.lower().replace("_", "-") if isinstance(node, Scalar) else ""
        close = difflib.get_close_matches(word, self.words, n=1)
        return f"did you mean `{close[0]}`?" if close and len(self.words) > 1 else None

    def schema(self) -> JsonSchema:
        """An enumeration."""
        return {"type": "string", "enum": list(self.words)}


@dataclass(frozen=True, eq=False, repr=False)
class Duration:
    """A length of time, between bounds that are included."""

    example: str
    least: timedelta = timedelta(milliseconds=1)
    most: timedelta = values.MAX_DURATION
    #: Where somebody else counts in seconds.
    whole_seconds: bool = False

    def read(self, node: Node, spot: Spot) -> timedelta | None:
        """The duration."""
        duration = _parsed(values.parse_duration, "a duration such as `90s`, `10m` or `1h30m`", node, spot)
        if duration is None:
            return None
        objection = self._objection(duration)
        if objection:
            spot.problem(node.place, f"{spot.label} must be {objection}")
            return None
        return duration

    def _objection(self, duration: timedelta) -> str | None:
        if duration < self.least:
            least = values.format_duration(self.least)
            return "more than `0s`" if least == "1ms" else f"at least `{least}`"
        if duration > self.most:
            return f"at most `{values.format_duration(self.most)}`"
        if self.whole_seconds and duration % timedelta(seconds=1):
            return "whole seconds, as SQS counts"
        return None

    def schema(self) -> JsonSchema:
        """A string in the form of a duration."""
        return {"type": "string", "pattern": f"^{values.DURATION_PATTERN}$", "examples": [self.example]}


@dataclass(frozen=True, eq=False, repr=False)
class Size:
    """An amount of memory."""

    example: str

    def read(self, node: Node, spot: Spot) -> int | None:
        """The bytes."""
        return _parsed(values.parse_size, "a size such as `512MB` or `4GB`", node, spot)

    def schema(self) -> JsonSchema:
        """A string in the form of a size."""
        return {"type": "string", "pattern": f"^{values.SIZE_PATTERN}$", "examples": [self.example]}


def _parsed(parse: Callable[[str], Value], demand: str, node: Node, spot: Spot) -> Value | None:
    """What a parser of texts makes of a scalar, or None after a problem was noted."""
    if not isinstance(node, Scalar):
        spot.refuse(node, demand)
        return None
    try:
        return parse(node.text)
    except values.BadValue as error:
        spot.problem(node.place, f"{spot.label} {shorten(str(error), 200)}", error.hint)
        return None


@dataclass(frozen=True, eq=False, repr=False)
class Cpu:
    """A share of processors."""

    example: str = "0.25"

    def read(self, node: Node, spot: Spot) -> float | None:
        """The vCPUs."""
        value = _number_of(node)
        if value is None:
            spot.refuse(node, "a number of vCPUs (`0.25`) or of ECS units (`256`)", _unquoted(node))
            return None
        try:
            return values.parse_cpu(value)
        except values.BadValue as error:
            spot.problem(node.place, f"{spot.label} {error}", error.hint)
            return None

    def schema(self) -> JsonSchema:
        """A number."""
        return {"type": "number", "exclusiveMinimum": 0, "maximum": values.MAX_VCPU * 1024}


def node_text(node: Node) -> str:
    """The text of a scalar, and nothing of other nodes."""
    return node.text if isinstance(node, Scalar) else ""


def _number_of(node: Node) -> int | float | None:
    if isinstance(node, Scalar) and node.type == "number":
        try:
            return number(node.text)
        except (ValueError, OverflowError):
            return None
    return None


def _unquoted(node: Node) -> str | None:
    """What to write when a number stands in quotes, has a unit, or is spelled as in other languages."""
    plain = re.sub(r"\s*v?cpus?$", "", node_text(node), flags=re.IGNORECASE).replace("_", "")
    if re.fullmatch("0[ox][0-9a-fA-F]{1,8}", plain):
        plain = str(number(plain))
    if not re.fullmatch(r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,9})?", plain):
        return None
    return f"write `{plain}`" + (" without quotes" if plain == node_text(node) else "")


@dataclass(frozen=True, eq=False, repr=False)
class Integer:
    """A whole number between bounds that are included."""

    least: int
    most: int
    example: str
    #: Number -> why this one is refused.
    refused: tuple[tuple[int, str], ...] = ()

    def read(self, node: Node, spot: Spot) -> int | None:
        """The number."""
        text = node_text(node)
        if not (isinstance(node, Scalar) and node.type == "number" and re.fullmatch("-?(0|[1-9][0-9]{0,17})", text)):
            spot.refuse(node, f"a whole number such as `{self.example}`", _unquoted(node) if "." not in text else None)
            return None
        for value, why in self.refused:
            if int(text) == value:
                spot.problem(node.place, why)
                return None
        if self.least <= int(text) <= self.most:
            return int(text)
        spot.problem(node.place, f"{spot.label} must be {_bound(int(text), self.least, self.most)}, not {text}")
        return None

    def schema(self) -> JsonSchema:
        """An integer."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, eq=False, repr=False)
class Number:
    """A number between bounds that are included."""

    least: float
    most: float
    example: str

    def read(self, node: Node, spot: Spot) -> float | None:
        """The number."""
        value = _number_of(node)
        if value is None:
            spot.refuse(node, f"a number such as `{self.example}`", _unquoted(node))
            return None
        if self.least <= value <= self.most:
            return float(value)
        spot.problem(
            node.place, f"{spot.label} must be {_bound(value, self.least, self.most)}, not {shorten(node_text(node))}"
        )
        return None

    def schema(self) -> JsonSchema:
        """A number."""
        return {"type": "number", "minimum": self.least, "maximum": self.most}


def _bound(value: float, least: float, most: float) -> str:
    return f"at least {least:,}" if value < least else f"at most {most:,}"


@dataclass(frozen=True, eq=False, repr=False)
class Verbatim:
    """Text for a program: numbers and booleans are taken as they are written, `1.10` stays `1.10`."""

    example: str = '""'

    def read(self, node: Node, spot: Spot) -> str | None:
        """The text."""
        if isinstance(node, Scalar):
            return node.text
        structured = "put JSON in single quotes" if isinstance(node, Mapping) else "join the items, as in `a,b`"
        hint = f"a program receives text: {structured}"
        spot.refuse(node, "text, a number or a boolean", hint)
        return None

    def schema(self) -> JsonSchema:
        """What a program can be given."""
        return {"type": ["string", "number", "boolean"]}
