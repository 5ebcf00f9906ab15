"""The kinds of values that hold other values: lists, mappings by name, records of known keys, triggers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from wherry.jobfile.kinds import JsonSchema, Kind, Verbatim, node_text, read_value, refuse_name, text_of
from wherry.jobfile.names import NameRule
from wherry.jobfile.nodes import Mapping, Node, Scalar, Sequence, shorten, to_json
from wherry.jobfile.report import Spot


@dataclass(frozen=True, eq=False, repr=False)
class ListOf:
    """A list, without repetition where items are names."""

    kind: Kind
    noun: str
    example: str
    distinct: bool = True
    least: int = 0
    most: int | None = None

    def read(self, node: Node, spot: Spot) -> tuple[Any, ...] | None:
        """The items in their order, None for one that is wrong."""
        if not isinstance(node, Sequence):
            spot.refuse(node, f"a list of {self.noun}", self._as_list(node, spot))
            return None
        if len(node.items) < self.least:
            spot.problem(node.place, f"{spot.label} is empty", f"for example `{spot.name}: {self.example}`")
            return None
        if self.most is not None and len(node.items) > self.most:
            spot.problem(node.place, f"{spot.label} has {len(node.items)} {self.noun}, and {self.most} is the most")
            return None
        items = tuple(read_value(self.kind, item, spot.item(number)) for number, item in enumerate(node.items))
        if self.distinct:
            for number, value in enumerate(items):
                if value is not None and value in items[:number]:
                    item = node.items[number]
                    spot.problem(item.place, f"{spot.label} has `{node_text(item)}` twice", "remove one of them")
        return items

    def _as_list(self, node: Node, spot: Spot) -> str:
        """How to make a list of what stands there."""
        if isinstance(node, Mapping):
            glued = next((key.text for key, _ in node.entries if re.match(r"-\w", key.text)), None)
            if glued:
                return f"a space is missing after the `-`: `- {shorten(glued[1:])}`"
            if not isinstance(self.kind, Verbatim):
                return "begin each item with `- `"
        if isinstance(node, Scalar) and re.fullmatch(r"[\w.-]+", node.text):
            return f"write `{spot.name}: [{node.text}]`"
        return f"for example `{spot.name}: {self.example}`"

    def schema(self) -> JsonSchema:
        """An array."""
        limits: JsonSchema = {"uniqueItems": True} if self.distinct else {}
        return {"type": "array", "items": self.kind.schema(), **limits} | (
            ({"minItems": self.least} if self.least else {}) | ({"maxItems": self.most} if self.most else {})
        )


@dataclass(frozen=True, eq=False, repr=False)
class OneOrMany:
    """One value, or a list of them."""

    kind: Kind
    noun: str

    @property
    def example(self) -> str:
        """One value."""
        return self.kind.example

    def read(self, node: Node, spot: Spot) -> tuple[Any, ...] | None:
        """The values, also of one."""
        if isinstance(node, Sequence):
            return ListOf(self.kind, self.noun, f"[{self.example}]", least=1).read(node, spot)
        return (self.kind.read(node, spot),)

    def schema(self) -> JsonSchema:
        """One, or an array."""
        many = {"type": "array", "items": self.kind.schema(), "minItems": 1, "uniqueItems": True}
        return {"anyOf": [self.kind.schema(), many]}


@dataclass(frozen=True, eq=False, repr=False)
class Command:
    """A list of arguments, or a string for the shell."""

    example: str = "[python, etl.py]"

    def read(self, node: Node, spot: Spot) -> tuple[str, ...] | str | None:
        """The arguments, or the shell's text."""
        if isinstance(node, Sequence):
            arguments = ListOf(Verbatim(), "arguments", self.example, distinct=False, least=1).read(node, spot)
            if arguments and arguments[0] is not None and not arguments[0].strip():
                spot.problem(node.items[0].place, f"the first item of {spot.label} is the program, and it is empty")
            return arguments
        demand = "a list of arguments, or text for the shell"
        if isinstance(node, Mapping):
            spot.refuse(node, demand, f"for example `{spot.name}: {self.example}`")
            return None
        text = text_of(node, spot, demand)
        if text is not None and not text.strip():
            spot.refuse(node, demand, f"for example `{spot.name}: {self.example}`")
            return None
        return text

    def schema(self) -> JsonSchema:
        """A string, or an array of what a program can be given."""
        many = {"type": "array", "items": Verbatim().schema(), "minItems": 1}
        return {"anyOf": [{"type": "string", "minLength": 1}, many]}


@dataclass(frozen=True, eq=False, repr=False)
class EventPattern:
    """A raw EventBridge event pattern; its own rules are checked later."""

    example: str = "{source: [shop]}"

    def read(self, node: Node, spot: Spot) -> dict[str, Any] | None:
        """The pattern as JSON."""
        if not isinstance(node, Mapping):
            spot.refuse(node, "an event pattern, which is a mapping", f"for example `{spot.name}: {self.example}`")
            return None
        try:
            return dict(to_json(node))
        except (ValueError, OverflowError) as error:
            spot.problem(spot.place, f"{spot.label} has a number that JSON cannot hold: {shorten(str(error))}")
            return None

    def schema(self) -> JsonSchema:
        """An object of field names."""
        return {"type": "object", "minProperties": 1}


@dataclass(frozen=True, eq=False, repr=False)
class MapOf:
    """A mapping whose keys are names that the person chooses."""

    names: NameRule
    kind: Kind
    example: str

    def read(self, node: Node, spot: Spot) -> dict[str, Any] | None:
        """Name -> value, of the values that are right."""
        if not isinstance(node, Mapping):
            spot.refuse(node, f"a mapping of {self.names.noun} names", f"for example `{spot.name}: {self.example}`")
            return None
        read = {}
        for key, child in node.entries:
            self._check_name(key, spot)
            value = read_value(self.kind, child, spot.key(key.text))
            if value is not None:
                read[key.text] = value
        return read

    def _check_name(self, key: Scalar, spot: Spot) -> None:
        objection = self.names.objection(key.text)
        if objection:
            refuse_name(self.names, key.text, objection, key, spot)

    def schema(self) -> JsonSchema:
        """An object with rules for its property names."""
        return {"type": "object", "propertyNames": self.names.schema(), "additionalProperties": self.kind.schema()}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Key:
    """One key of a record: the line of the table that everything else is made of."""

    name: str
    kind: Kind
    #: What it is for, in one sentence without a full stop; editors show it.
    about: str
    required: bool = False


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Record:
    """A mapping of known keys; any other key is a mistake."""

    #: `a job`, completing "is not a key of ...".
    noun: str
    keys: tuple[Key, ...]
    example: str
    #: Where else a key could belong: `(key name) -> hint or None`; late, because the table is not complete before.
    elsewhere: Callable[[str], str | None] = lambda _: None
    #: Further demands in the words of JSON Schema.
    further: tuple[tuple[str, Any], ...] = ()

    def read(self, node: Node, spot: Spot) -> dict[str, Any] | None:
        """Key -> value, of the keys that are right."""
        if not isinstance(node, Mapping):
            spot.refuse(node, "a mapping of keys", f"for example `{spot.name}: {self.example}`")
            return None
        known = {key.name: key for key in self.keys}
        read = {}
        for key_node, child in node.entries:
            key = known.get(key_node.text)
            if key is None:
                self._refuse_key(key_node, spot)
                continue
            value = read_value(key.kind, child, spot.key(key.name))
            if value is not None:
                read[key.name] = value
        present = {key_node.text for key_node, _ in node.entries}
        for key in self.keys:
            if key.required and key.name not in present:
                spot.problem(
                    spot.place, f"{spot.label} needs `{key.name}`", f"for example `{key.name}: {key.kind.example}`"
                )
        return read

    def _refuse_key(self, key: Scalar, spot: Spot) -> None:
        names = [known.name for known in self.keys]
        shown = f"`{shorten(key.text)}`" if key.text else "empty text"
        message = f"{shown} is not a key of {self.noun}"
        spot.problem(key.place, message, _key_hint(key.text, names, self.elsewhere))

    def schema(self) -> JsonSchema:
        """An object without additional properties."""
        properties = {key.name: {"description": key.about} | key.kind.schema() for key in self.keys}
        required = [key.name for key in self.keys if key.required]
        return {
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
            "additionalProperties": False,
            **dict(self.further),
        }


@dataclass(frozen=True, eq=False, repr=False)
class Either:
    """A text, or a record."""

    text: Kind
    record: Record

    @property
    def example(self) -> str:
        """The shorter of the two."""
        return self.text.example

    def read(self, node: Node, spot: Spot) -> Any:
        """The text, or key -> value."""
        return (self.record if isinstance(node, Mapping) else self.text).read(node, spot)

    def schema(self) -> JsonSchema:
        """One of the two."""
        return {"anyOf": [self.text.schema(), self.record.schema()]}


def _key_hint(name: str, known: list[str], elsewhere: Callable[[str], str | None]) -> str:
    import difflib  # costs 10 ms, and only mistakes need it

    first = re.match(r"-?([\w-]+):", name)
    if first and first[1] in known:
        return f"a space is missing: `{first[1]}: {shorten(name.partition(':')[2])}`"
    if name.startswith("-") and name[1:] in known:
        return f"a space is missing: `- {name[1:]}`"
    if not name.isascii():
        name = "".join(character for character in name if character.isascii())
        if name in known:
            return f"it contains a character that cannot be seen or only looks right: type `{name}` anew"
    plain = name.strip().lower().replace("-", "_")
    close = difflib.get_close_matches(plain, known, n=1, cutoff=0.75)
    if close:
        return f"did you mean `{close[0]}`?"
    hint = elsewhere(plain)
    if hint:
        return hint
    close = difflib.get_close_matches(plain, known, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else "known: " + ", ".join(f"`{key}`" for key in known)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Variants:
    """A record that is one of several; its first known key says which."""

    #: `a trigger`
    noun: str
    #: Deciding key -> record.
    records: tuple[tuple[str, Record], ...]
    example: str
    #: Deciding keys that people expect -> what to do instead.
    mistaken: tuple[tuple[str, str], ...] = ()

    def read(self, node: Node, spot: Spot) -> dict[str, Any] | None:
        """Key -> value of the record that the deciding key chooses."""
        if not isinstance(node, Mapping):
            spot.refuse(node, f"{self.noun}, which is a mapping", f"for example `- {self.example}`")
            return None
        records = dict(self.records)
        deciding = [key for key, _ in node.entries if key.text in records]
        if len(deciding) == 1:
            return records[deciding[0].text].read(node, spot)
        if deciding:
            first, second = deciding[0], deciding[1]
            spot.problem(
                second.place,
                f"{self.noun} has one kind, and this one has `{first.text}` and `{second.text}`",
                f"make two of it: begin a new item with `- {second.text}:`",
            )
        else:
            self._refuse(node, spot)
        return None

    def _refuse(self, node: Mapping, spot: Spot) -> None:
        import difflib  # costs 10 ms, and only mistakes need it

        kinds = [name for name, _ in self.records]
        for key, _ in node.entries:
            close = difflib.get_close_matches(key.text.lower(), kinds, n=1)
            hint = dict(self.mistaken).get(key.text) or (f"did you mean `{close[0]}`?" if close else None)
            if hint:
                spot.problem(key.place, f"`{shorten(key.text)}` is not a kind of trigger", hint)
                return
        names = ", ".join(f"`{kind}`" for kind in kinds)
        spot.problem(node.place, f"{self.noun} needs one of {names}", f"for example `- {self.example}`")

    def schema(self) -> JsonSchema:
        """Exactly one of the records."""
        return {"oneOf": [{"title": name, **record.schema()} for name, record in self.records]}


def keys_of(kind: Any) -> Iterator[tuple[str, Record]]:
    """All records inside a kind: (the keys that lead there with dots, record)."""
    if isinstance(kind, Record):
        yield "", kind
        for key in kind.keys:
            for path, record in keys_of(key.kind):
                yield (f"{key.name}.{path}" if path else key.name), record
    elif isinstance(kind, MapOf):
        for path, record in keys_of(kind.kind):
            yield (f"NAME.{path}" if path else "NAME"), record
    elif isinstance(kind, ListOf | OneOrMany):
        yield from keys_of(kind.kind)
    elif isinstance(kind, Either):
        yield from keys_of(kind.record)
    elif isinstance(kind, Variants):
        for _, record in kind.records:
            yield from keys_of(record)
