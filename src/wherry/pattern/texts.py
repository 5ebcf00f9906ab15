"""Tests of text: ignoring case, and with wildcards, as Java and event-ruler see text."""

from __future__ import annotations

import re
from collections.abc import Callable

TextTest = Callable[[str], bool]


class WildcardError(ValueError):
    """A wildcard that event-ruler refuses; the message is its own."""


def ignoring_case(text: str) -> str:
    """A regular expression for a text in any case, character by character.

    Each UTF-16 unit may stand as its lower or its upper case, both of full length: `ß` is `ß` or `SS` but not `ss`,
    and `S` is no long s. A character outside the Basic Multilingual Plane is two units, and Java makes `?` of half a
    pair: it matches `??` and not itself. That is what EventBridge does (event-ruler's `EqualsIgnoreCaseParser`).
    """
    return "".join(_one_character(character) for character in text)


def _one_character(character: str) -> str:
    if character > "\uffff":
        return r"\?\?"
    if "\ud800" <= character <= "\udfff":
        return r"\?"
    forms = sorted({character.lower(), character.upper()})
    return re.escape(forms[0]) if len(forms) == 1 else f"(?:{'|'.join(map(re.escape, forms))})"


def equals_ignoring_case(text: str) -> TextTest:
    """The test for the whole text in any case."""
    fullmatch = re.compile(ignoring_case(text)).fullmatch
    return lambda value: fullmatch(value) is not None


def starts_with(text: str, *, ignore_case: bool) -> TextTest:
    """The test for a prefix.

    event-ruler looks for `"` + prefix in the quoted value, so that a prefix ending in a quotation mark also finds the
    closing one: `x"` is a prefix of the value `x`.
    """
    closing = '"' if text.endswith('"') else ""
    if not ignore_case:
        return lambda value: (value + closing).startswith(text)  # `value + ""` is `value` itself
    match = re.compile(ignoring_case(text)).match
    return lambda value: match(value + closing) is not None


def ends_with(text: str, *, ignore_case: bool) -> TextTest:
    """The test for a suffix; the mirror image of `starts_with`."""
    opening = '"' if text.startswith('"') else ""
    if not ignore_case:
        return lambda value: (opening + value).endswith(text)
    search = re.compile(rf"(?:{ignoring_case(text)})\Z").search
    # No character has more than three in another case, so nothing before this can be a part of the suffix.
    reach = 3 * len(text)

    def test(value: str) -> bool:
        quoted = opening + value
        return search(quoted, max(0, len(quoted) - reach)) is not None

    return test


def wildcard_pieces(text: str) -> tuple[str, ...]:
    r"""The literal pieces between the wildcards of a text, escapes resolved; one piece means no wildcard.

    `\*` and `\\` are the only escapes. Raises WildcardError with event-ruler's message; its position counts UTF-8 bytes
    and the opening quotation mark (`WildcardParser`).
    """
    pieces = [""]
    characters = iter(enumerate(text))
    for at, character in characters:
        following = text[at + 1 : at + 2]
        if character == "*":
            if following == "*":
                raise WildcardError(f"Consecutive wildcard characters at pos {_byte_position(text, at)}")
            pieces.append("")
        elif character == "\\":
            if following not in ("*", "\\"):
                raise WildcardError(f"Invalid escape character at pos {_byte_position(text, at)}")
            pieces[-1] += following
            next(characters)
        else:
            pieces[-1] += character
    return tuple(pieces)


def _byte_position(text: str, at: int) -> int:
    return 1 + len(text[:at].encode("utf-8", "replace"))


def matches_pieces(pieces: tuple[str, ...]) -> TextTest:
    """The test for literal pieces with anything between them; linear in the text, never backtracking."""
    if len(pieces) == 1:
        (whole,) = pieces
        return lambda value: value == whole
    first, *middle, last = pieces
    least = len(first) + len(last)

    def test(value: str) -> bool:
        if len(value) < least or not value.startswith(first) or not value.endswith(last):
            return False
        at, end = len(first), len(value) - len(last)
        for piece in middle:
            at = value.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return True

    return test
