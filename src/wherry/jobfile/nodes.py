"""What a YAML text says, with positions: scalars, sequences and mappings, before anybody knows what they mean.

Scalars are read in the sense of YAML 1.2's core schema: only `true` and `false` are booleans; `on`, `yes`, `no`,
`12:30`, `1_000` and dates are text. A scalar keeps its text as written, so that `1.10` is never `1.1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from wherry.errors import Place

ScalarType = Literal["null", "boolean", "number", "text"]

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

#: Longer values are cut in messages.
_SHOWN = 50


@dataclass(frozen=True, kw_only=True, eq=False)
class Scalar:
    """One value that is neither a list nor a mapping."""

    place: Place
    text: str
    type: ScalarType
    #: Where the text itself begins in the source, a quote skipped; None when the source spells it otherwise.
    verbatim: Place | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Sequence:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapping:
    """Keys and values in the order of the file; a key stands here once."""

    place: Place
    entries: tuple[tuple[Scalar, Node], ...]


Node = Scalar | Sequence | Mapping


@dataclass(frozen=True, kw_only=True, eq=False)
class Document:
    """A whole YAML document, with an index of dotted paths: `jobs.nightly.on.0.schedule`."""

    root: Node
    #: Path -> where a person would look: the key, or the item of a list.
    places: dict[str, Place]
    #: Path -> the value itself.
    values: dict[str, Node]


def classify(text: str, *, plain: bool) -> ScalarType:
    """The core schema's type of a scalar; whatever is quoted or a block is text."""
    if not plain:
        return "text"
    if text in _NULLS:
        return "null"
    if text in _TRUE or text in _FALSE:
        return "boolean"
    # The first character decides nearly always, and this runs for every value of the file.
    if text[0] in "+-.0123456789" and any(
        form.fullmatch(text) for form in (_INTEGER, _FLOAT, _OCTAL_OR_HEX, _NOT_FINITE)
    ):
        return "number"
    return "text"


def index(root: Node) -> Document:
    """The document of a tree, every path filled in."""
    places: dict[str, Place] = {"": root.place}
    values: dict[str, Node] = {"": root}
    pending: list[tuple[str, Node]] = [("", root)]
    while pending:
        path, node = pending.pop()
        for name, place, child in _children(node):
            child_path = f"{path}.{name}" if path else name
            places[child_path] = place
            values[child_path] = child
            pending.append((child_path, child))
    return Document(root=root, places=places, values=values)


def _children(node: Node) -> Iterator[tuple[str, Place, Node]]:
    if isinstance(node, Mapping):
        for key, value in node.entries:
            yield key.text, key.place, value
    elif isinstance(node, Sequence):
        for number, item in enumerate(node.items):
            yield str(number), item.place, item


def to_json(node: Node) -> Any:
    """The node as JSON would have it; raises ValueError for a number that JSON has no form for (`.inf`, `1e999`)."""
    if isinstance(node, Mapping):
        return {key.text: to_json(value) for key, value in node.entries}
    if isinstance(node, Sequence):
        return [to_json(item) for item in node.items]
    match node.type:
        case "null":
            return None
        case "boolean":
            return node.text in _TRUE
        case "number":
            return number(node.text)
        case "text":
            return node.text


def number(text: str) -> int | float:
    """The value of a number's text; raises ValueError when it is not finite."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text[2:], 8 if text[1] == "o" else 16)
    value = float(text.replace(".inf", "inf").replace(".nan", "nan"))
    if value - value != 0:  # infinity and NaN alone
        raise ValueError(text)
    return value


def describe(node: Node) -> str:
    """How a message names a value: `the number `5``, `a list`, ``some text``."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if node.type == "null":
        return "empty"
    if node.text == "":
        return "empty text"
    if node.type == "text":
        quoted = classify(node.text, plain=True) != "text"
        return f"the text `{shorten(node.text)}`" if quoted else f"`{shorten(node.text)}`"
    return f"the {node.type} `{shorten(node.text)}`"


def shorten(text: str, width: int = _SHOWN) -> str:
    """The text on one line, cut where it would fill the screen."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= width else line[: width - 1] + "…"
