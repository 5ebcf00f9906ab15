"""YAML text -> nodes with positions. The one door to PyYAML.

The parser's events are composed here and not by PyYAML, because a job file must know its duplicate keys and its
positions, and because nothing in it may construct an object, expand without bounds or nest without end. Anchors and
aliases work; tags, merge keys and further documents are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml  # noqa: TID251 - this module is the door that the ban points at

from wherry.errors import JobFileError, Place
from wherry.jobfile.nodes import Document, Mapping, Node, Scalar, Sequence, classify, index, shorten
from wherry.jobfile.source import Source, check_characters

#: More levels than any job file has; bounds the recursion of everything that walks a document.
MAX_DEPTH = 32
#: Values of a document: bounds time and memory. Ten thousand jobs have half as many.
MAX_VALUES = 200_000
#: Values that aliases repeat, counted as often as they do.
MAX_REPEATED = 50_000

# libyaml is about ten times as fast; PyYAML built without it has the same events.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(source: Source) -> Document:
    """The document of a source; raises JobFileError when it is not YAML or not one mapping.

    What leaves the document readable, like a duplicate key, is noted in the source's problems instead.
    """
    check_characters(source)
    source.raise_problems()
    composer = _Composer(source)
    try:
        root = composer.document()
    except _Unreadable:
        raise JobFileError(source.problems) from None
    except yaml.MarkedYAMLError as error:
        _explain(error, source)
        raise JobFileError(source.problems) from None
    if composer.misleading:
        raise JobFileError(source.problems)
    if root is None or (isinstance(root, Scalar) and root.type == "null"):
        source.report(source.place(1, 1), "the file is empty", "`wherry init` writes one to begin with")
    elif not isinstance(root, Mapping):
        what = "a list" if isinstance(root, Sequence) else "text"
        source.report(root.place, f"a job file is a mapping, not {what}", "begin with `app: NAME`")
    else:
        return index(root)
    raise JobFileError(source.problems)


def _explain(error: yaml.MarkedYAMLError, source: Source) -> None:
    from wherry.jobfile.syntax import Complaint, explain  # right files have no use for it

    place = _place(source, error.problem_mark or error.context_mark)
    complaint = Complaint(
        problem=str(error.problem or error.context or "it cannot be read"),
        place=place,
        context=str(error.context or ""),
        context_place=_place(source, error.context_mark) if error.context_mark else place,
    )
    explanation = explain(complaint, source)
    source.report(explanation.place, explanation.message, explanation.hint)


def _place(source: Source, mark: Any) -> Place:
    if mark is None:
        return source.place(1, 1)
    if mark.line < len(source.lines):
        return source.place(mark.line + 1, mark.column + 1)
    # libyaml ends the last line of a text itself, and the next one is in no editor
    return source.place(len(source.lines), len(source.lines[-1]) + 1)


class _Unreadable(Exception):
    """The rest of the document makes no sense."""


class _Composer:
    """Events -> nodes, within bounds."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._events: Iterator[Any] = yaml.parse(source.text, Loader=_LOADER)
        self._anchors: dict[str, Node | None] = {}
        #: Values below and including a node, and levels: only of anchored ones, an alias adds them again.
        self._weights: dict[str, tuple[int, int]] = {}
        #: Keys were left out, so that a mapping would seem to lack what it has.
        self.misleading = False
        self._values = 0
        self._repeated = 0
        self._deepest = 0

    def document(self) -> Node | None:
        """The one document's root, or None when there is none."""
        next(self._events)  # the stream's start
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            return None
        root = self._node(next(self._events), 1)
        next(self._events)  # the document's end
        further = next(self._events)
        if not isinstance(further, yaml.StreamEndEvent):
            place = _place(self._source, further.start_mark)
            self._source.report(place, "a second document begins here", "a job file is one document: delete the `---`")
            raise _Unreadable
        return root

    def _node(self, event: Any, depth: int) -> Node:
        place = _place(self._source, event.start_mark)
        self._count(1, depth, place)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth, place)
        self._refuse_tag(event, place)
        anchor = event.anchor
        if anchor is None:
            return self._content(event, depth, place)
        self._anchors[anchor] = None  # known, and not complete: an alias to it now would have no end
        before, outer = self._values, self._deepest
        self._deepest = depth
        node = self._content(event, depth, place)
        self._weights[anchor] = (self._values - before + 1, self._deepest - depth)
        self._deepest = max(outer, self._deepest)
        self._anchors[anchor] = node
        return node

    def _content(self, event: Any, depth: int, place: Place) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(event, depth + 1))
            return Sequence(place=place, items=tuple(items))
        return self._mapping(depth, place)

    def _mapping(self, depth: int, place: Place) -> Mapping:
        entries: dict[str, tuple[Scalar, Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            name = self._usable(key, entries)
            if name is not None:
                entries[name.text] = (name, value)
        return Mapping(place=place, entries=tuple(entries.values()))

    def _usable(self, key: Node, entries: dict[str, tuple[Scalar, Node]]) -> Scalar | None:
        """The key, or None after noting that it cannot be one."""
        if not isinstance(key, Scalar):
            self.misleading = True
            what = "a mapping" if isinstance(key, Mapping) else "a list"
            self._source.report(
                key.place, f"a key is text, not {what}", "put text that begins with `{` or `[` in quotes"
            )
        elif key.text in entries:
            first = entries[key.text][0].place
            self._source.report(
                key.place,
                f"`{shorten(key.text)}` stands here twice, first in line {first.line}",
                "keep one of them, or put the contents of both under one",
            )
        elif key.text == "<<":
            self.misleading = True
            self._source.report(
                key.place,
                "merge keys (`<<`) are not supported",
                "`defaults:` holds what all jobs share; an alias (`env: *name`) repeats a whole value",
            )
        else:
            return key
        return None

    def _scalar(self, event: Any, place: Place) -> Scalar:
        text: str = event.value
        for character in ("\0", *_surrogates(text)):
            if character in text:
                self._source.report(
                    place,
                    f"the text contains U+{ord(character):04X}, which no program can receive",
                    "remove the escape",
                )
                text = text.replace(character, "")
        plain = event.style in (None, "")
        quoted = 0 if plain else 1
        line = self._source.lines[place.line - 1] if place.line <= len(self._source.lines) else ""
        verbatim = line.startswith(text, place.column - 1 + quoted) and event.style not in ("|", ">")
        return Scalar(
            place=place,
            text=text,
            type=classify(text, plain=plain),
            verbatim=self._source.place(place.line, place.column + quoted) if verbatim else None,
        )

    def _alias(self, event: Any, depth: int, place: Place) -> Node:
        if event.anchor not in self._anchors:
            known = ", ".join(f"`&{name}`" for name in self._anchors)
            self._source.report(
                place,
                f"there is no anchor `&{event.anchor}` above for this alias",
                f"known: {known}" if known else "text that begins with `*` needs quotes",
            )
            raise _Unreadable
        node = self._anchors[event.anchor]
        if node is None:
            self._source.report(
                place, f"`*{event.anchor}` stands inside the value that `&{event.anchor}` names", "write the value out"
            )
            raise _Unreadable
        values, levels = self._weights[event.anchor]
        self._repeated += values - 1
        if self._repeated > MAX_REPEATED:
            hint = "an alias counts as often as it is used"
            self._source.report(place, f"aliases repeat more than {MAX_REPEATED:,} values", hint)
            raise _Unreadable
        self._count(values - 1, depth + levels, place)
        return node

    def _count(self, values: int, depth: int, place: Place) -> None:
        self._values += values
        self._deepest = max(self._deepest, depth)
        if depth > MAX_DEPTH:
            self._source.report(place, f"values are nested more than {MAX_DEPTH} levels deep here")
            raise _Unreadable
        if self._values > MAX_VALUES:
            self._source.report(
                place, f"the file has more than {MAX_VALUES:,} values", "is this the job file you mean?"
            )
            raise _Unreadable

    def _refuse_tag(self, event: Any, place: Place) -> None:
        if event.tag is not None:
            self._source.report(
                place,
                f"YAML tags (`{shorten(_tag_text(event.tag))}`) are not supported",
                "remove the tag; text that begins with `!` needs quotes",
            )


def _tag_text(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _surrogates(text: str) -> list[str]:
    """Halves of characters, which an escape can spell where PyYAML scans without libyaml."""
    return [] if text.isascii() else sorted({character for character in text if "\ud800" <= character <= "\udfff"})
