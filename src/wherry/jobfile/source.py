"""Bytes -> text that is fit to be YAML, and the list of what is wrong with it.

A text editor shows none of what is refused here: broken UTF-8, control characters, invisible line separators. Columns
count characters.
"""

from __future__ import annotations

import codecs
import re

from wherry.errors import JobFileError, Place, Problem

#: Larger than any job file that a person wrote.
MAX_BYTES = 1_000_000

#: A caret is drawn under lines up to this long.
_MAX_SHOWN_LINE = 200

_LINE_END = re.compile(r"\r\n|\r|\n")

# C0 and C1 controls, surrogates, non-characters; U+2028 and U+2029 are line ends to YAML 1.1, but to no editor; the
# bidirectional overrides make a line look like another one; U+FEFF inside a text is a byte order mark gone astray.
_REFUSED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)

_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

#: A file with so many problems is not a job file.
MAX_PROBLEMS = 500


class Source:
    """A job file's text, its lines, and the problems found so far."""

    def __init__(self, text: str, filename: str) -> None:
        self.filename = filename
        self.text = text
        self.lines = _LINE_END.split(text)
        self.problems: list[Problem] = []

    def place(self, line: int, column: int) -> Place:
        """A place in this file; both count from 1."""
        return Place(self.filename, line, column)

    def report(self, place: Place, message: str, hint: str | None = None) -> None:
        """Note a problem; raises JobFileError when there are more than anybody reads."""
        if len(self.problems) >= MAX_PROBLEMS:
            raise JobFileError(self.problems)
        problem = Problem(place, message, self._shown(place), hint)
        # an alias repeats a value, and with it what is wrong with it
        if problem not in self.problems[-50:]:
            self.problems.append(problem)

    def raise_problems(self) -> None:
        """Raise JobFileError if there is any problem."""
        if self.problems:
            raise JobFileError(self.problems)

    def _shown(self, place: Place) -> str:
        """The source line, or nothing where a caret would not help."""
        if not 1 <= place.line <= len(self.lines):
            return ""
        # a tab is one column, in the line as in the caret's indentation
        line = _REFUSED.sub("\N{REPLACEMENT CHARACTER}", self.lines[place.line - 1]).replace("\t", " ").rstrip()
        if len(line) <= _MAX_SHOWN_LINE:
            return line
        return line[:_MAX_SHOWN_LINE] + "…" if place.column <= _MAX_SHOWN_LINE else ""


def decode(content: bytes, filename: str) -> str:
    """The text of a file's bytes, without a byte order mark; raises JobFileError."""
    top = Place(filename, 1, 1)
    if len(content) > MAX_BYTES:
        raise JobFileError([Problem(top, "the file is larger than 1 MB", hint="is this the job file you mean?")])
    if content.startswith(_WIDE_MARKS):
        raise JobFileError([Problem(top, "the file is UTF-16", hint="save it as UTF-8")])
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JobFileError([_broken_utf8(content, error.start, filename)]) from None


def check_characters(source: Source) -> None:
    """Report every line's first character that must not stand in a job file."""
    if _REFUSED.search(source.text) is None:
        return
    for number, line in enumerate(source.lines, start=1):
        found = _REFUSED.search(line)
        if found:
            character = found.group()
            source.report(
                source.place(number, found.start() + 1),
                f"the character U+{ord(character):04X}{_name(character)} cannot stand in a job file",
                "delete it; an editor may not show it",
            )


def _name(character: str) -> str:
    import unicodedata  # right files have no use for it

    name = unicodedata.name(character, "")
    if name:
        return f" ({name.lower()})"
    return " (a control character)" if unicodedata.category(character) == "Cc" else ""


def _broken_utf8(content: bytes, offset: int, filename: str) -> Problem:
    before = content[:offset].decode("utf-8")
    lines = _LINE_END.split(before)
    rest = _LINE_END.split(content[offset:].decode("utf-8", "replace"))[0]
    return Problem(
        Place(filename, len(lines), len(lines[-1]) + 1),
        f"the file is not UTF-8: byte 0x{content[offset]:02x} at offset {offset}",
        (lines[-1] + rest).replace("\t", " ").rstrip()[:_MAX_SHOWN_LINE],
        "save it as UTF-8; the text before this byte is fine",
    )
