"""What a YAML parser's complaint means to the person who wrote the file.

libyaml says "did not find expected key while parsing a block mapping"; what helps is "the indentation of this line fits
no line above it". Both of PyYAML's parsers complain at the same places in slightly different words, so the words only
choose the explanation, and the source line says the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from wherry.errors import Place
from wherry.jobfile.source import Source


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """A parser's error: what it could not read, and while reading what."""

    problem: str
    place: Place
    context: str
    context_place: Place


@dataclass(frozen=True)
class Explanation:
    """The same for people."""

    place: Place
    message: str
    hint: str


def explain(complaint: Complaint, source: Source) -> Explanation:
    """The explanation of a complaint; never fails, an unknown one is passed on as it is."""
    said = f"{complaint.context}: {complaint.problem}"
    for pattern, explanation in _EXPLANATIONS:
        if re.search(pattern, said):
            return explanation(complaint, source)
    return Explanation(complaint.place, f"this is not YAML: {complaint.problem}", "see https://yaml.org/spec/1.2.2/")


def _line(place: Place, source: Source) -> str:
    return source.lines[place.line - 1] if place.line <= len(source.lines) else ""


def _before(place: Place, source: Source) -> str:
    return _line(place, source)[: place.column - 1]


def _after(place: Place, source: Source) -> str:
    return _line(place, source)[place.column - 1 :]


def _line_above(place: Place, source: Source) -> Place | None:
    """The last line above that is neither empty nor a comment, at its first character."""
    for number in range(min(place.line - 1, len(source.lines)), 0, -1):
        text = source.lines[number - 1]
        if text.strip() and not text.lstrip().startswith("#"):
            return source.place(number, len(text) - len(text.lstrip()) + 1)
    return None


def _second_colon(complaint: Complaint, source: Source) -> Explanation:
    """`command: a: b`, or a mapping indented under a line that has a value already."""
    place, before = complaint.place, _before(complaint.place, source)
    first = re.search(r":\s+(?=\S)", before)
    if first:
        value = source.place(place.line, first.end() + 1)
        return Explanation(value, "this text contains `: `, which begins another mapping", _quoted(value, source))
    above = _line_above(place, source)
    if above is not None:
        missing = _missing_space(above, source)
        if missing:
            return missing
        if ":" not in _line(above, source):
            return _no_colon(replace(complaint, context_place=above), source)
        if above.column < _indent(before):
            return Explanation(
                source.place(place.line, _indent(before)),
                f"this line is indented under line {above.line}, which already has a value",
                "give it the same indentation as the keys it belongs to",
            )
    return _indentation(replace(complaint, place=source.place(place.line, _indent(before))), source)


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip()) + 1


def _missing_space(place: Place, source: Source) -> Explanation | None:
    match = re.match(r"\s*(-\s+)?([A-Za-z_][\w-]*):(?=[^\s/:])", _line(place, source))
    if match is None:
        return None
    key = match[2]
    return Explanation(
        source.place(place.line, match.end() + 1),
        f"a space is missing after `{key}:`",
        f"write `{key}: {_line(place, source)[match.end() :].strip()}`",
    )


def _no_colon(complaint: Complaint, source: Source) -> Explanation:
    place = complaint.context_place
    text = _line(place, source).strip()
    is_name = re.fullmatch(r"[\w-]+", text)
    return _missing_space(place, source) or Explanation(
        place,
        "this line is neither `key: value` nor an item of a list (`- value`)",
        f"write `{text}:`" if is_name else "text over several lines needs `|` or `>` after its key, and indentation",
    )


def _tab(complaint: Complaint, source: Source) -> Explanation:
    line = _line(complaint.place, source)
    column = line.index("\t") + 1 if "\t" in line else complaint.place.column
    return Explanation(
        source.place(complaint.place.line, column), "a tab cannot indent YAML", "use two spaces for each level"
    )


def _special_character(complaint: Complaint, source: Source) -> Explanation:
    character = _after(complaint.place, source)[:1]
    if character == "\t":
        return _tab(complaint, source)
    shown = "a backtick" if character == "`" else f"`{character}`"
    return Explanation(complaint.place, f"text cannot begin with {shown} in YAML", _quoted(complaint.place, source))


def _star(complaint: Complaint, source: Source) -> Explanation:
    place = complaint.context_place
    character = _after(place, source)[:1] or "*"
    meaning = "an anchor" if character == "&" else "an alias"
    return Explanation(
        place, f"text cannot begin with `{character}`: it marks {meaning} in YAML", _quoted(place, source)
    )


def _quoted(place: Place, source: Source) -> str:
    """How the rest of the line looks in quotes."""
    value = re.sub(r"\s+#.*$", "", _after(place, source)).strip()
    before = _before(place, source)
    if before.count("[") + before.count("{") > before.count("]") + before.count("}"):
        value = re.split(r"[,\]}]", value)[0].strip()
    if not value:
        return 'put the text in quotes: `"…"`'
    return "put it in quotes: '" + value.replace("'", "''") + "'"


def _open_quote(complaint: Complaint, source: Source) -> Explanation:
    quote = _after(complaint.context_place, source)[:1]
    return Explanation(complaint.context_place, f"the quote {quote} that opens here is never closed", f"add {quote}")


def _escape(complaint: Complaint, source: Source) -> Explanation:
    # libyaml points at the backslash, PyYAML's own scanner behind it
    column = complaint.place.column - (0 if _after(complaint.place, source).startswith("\\") else 1)
    place = source.place(complaint.place.line, max(column, 1))
    escape = _after(place, source)[:2]
    return Explanation(
        place,
        f"`{escape}` means nothing between double quotes",
        f"use single quotes, where a backslash is a backslash, or write `\\{escape}`",
    )


def _block_header(complaint: Complaint, source: Source) -> Explanation:
    mark = _after(complaint.context_place, source)[:1]
    return Explanation(
        complaint.place,
        f"nothing but the end of the line may follow `{mark}`, which begins text over several lines",
        f"begin the text on the next line, indented; text that begins with `{mark}` needs quotes",
    )


def _inline_list(complaint: Complaint, source: Source) -> Explanation:
    item = _after(complaint.place, source).removeprefix("-").strip()
    inline = f", or write `[{item}]`" if re.fullmatch(r"[\w./-]+", item) else ""
    return Explanation(
        complaint.place, "a list item (`- `) cannot begin here", f"begin the list on the next line, indented{inline}"
    )


def _open_bracket(complaint: Complaint, source: Source) -> Explanation:
    opening = _after(complaint.context_place, source)[:1]
    closing = {"[": "]", "{": "}"}.get(opening, "]")
    if complaint.place.line != complaint.context_place.line:
        at_end = not any(line.strip() for line in source.lines[complaint.place.line - 1 :])
        return Explanation(
            complaint.context_place,
            f"the `{opening}` that opens here is "
            + ("never closed" if at_end else f"not closed before line {complaint.place.line}"),
            f"add `{closing}`, or the `,` that is missing between two of its entries",
        )
    found = _after(complaint.place, source)[:1]
    return Explanation(
        complaint.place,
        f"expected `,` or `{closing}`" + (f", not `{found}`" if found else ""),
        f"entries are separated by `,`; text with `: `, `,` or brackets needs quotes inside `{opening}{closing}`",
    )


def _last_bracket(source: Source) -> Place | None:
    for number in range(len(source.lines), 0, -1):
        line = source.lines[number - 1]
        column = max(line.rfind("["), line.rfind("{")) + 1
        if column:
            return source.place(number, column)
    return None


def _no_content(complaint: Complaint, source: Source) -> Explanation:
    found = _after(complaint.place, source)[:1]
    opened = _last_bracket(source)
    if not found and opened:
        return _open_bracket(replace(complaint, context_place=opened), source)
    if not found:
        return Explanation(complaint.place, "a value is missing here", "complete the line")
    return Explanation(complaint.place, f"a value cannot begin with `{found}`", _quoted(complaint.place, source))


def _indentation(complaint: Complaint, source: Source) -> Explanation:
    place, before = complaint.place, _before(complaint.place, source)
    if before.strip():
        return _after_value(place, source)
    above = _line_above(place, source)
    if above is not None:
        missing = _missing_space(above, source)
        if missing:
            return missing
    if _after(place, source).startswith(":"):
        return Explanation(place, "a key is missing before this `:`", "write `key: value`")
    if _after(place, source).startswith("-"):
        return Explanation(
            place,
            "this list item belongs to nothing above it",
            "indent it under its key; a key has either items (`- `) or keys of its own, not both",
        )
    spaces = len(before)
    noun = "space" if spaces == 1 else "spaces"
    return Explanation(
        place,
        f"the indentation of this line ({spaces} {noun}) fits no line above it",
        "keys of one mapping, and items of one list, stand exactly below each other",
    )


def _after_value(place: Place, source: Source) -> Explanation:
    before, found = _before(place, source), _after(place, source)
    text = found.split(" #")[0].strip()
    if before.rstrip().endswith(("'", '"')) or before.count("'") % 2 or before.count('"') % 2:
        return Explanation(
            place,
            f"`{text}` follows text that is complete: its quote is closed already",
            "put the whole value between one pair of quotes; inside single quotes, `''` is one `'`",
        )
    return Explanation(
        place, f"`{text}` cannot stand here: the value before it is complete", "delete it, or quote it all"
    )


def _tag(complaint: Complaint, source: Source) -> Explanation:
    return Explanation(
        complaint.place, "text cannot begin with `!`: it marks a tag in YAML", _quoted(complaint.place, source)
    )


def _directive(complaint: Complaint, source: Source) -> Explanation:
    place = source.place(complaint.context_place.line, 1)
    if _line(place, source).startswith("%YAML"):
        return Explanation(place, "a job file is YAML 1.2, and nothing newer", "delete this line")
    return Explanation(place, "a line cannot begin with `%`: it marks a directive in YAML", "remove the `%`")


def _behind_the_end(complaint: Complaint, source: Source) -> Explanation:
    if _line(source.place(1, 1), source).startswith("%"):
        return _directive(replace(complaint, context_place=source.place(1, 1)), source)
    return Explanation(
        complaint.place, "this line stands behind the end of the document", "delete it, or the `...` above it"
    )


#: Regular expression of "context: problem" -> explanation. The first that matches is taken.
_EXPLANATIONS: tuple[tuple[str, Callable[[Complaint, Source], Explanation]], ...] = (
    (r"tab character|'\\t'", _tab),
    (r"mapping values are not allowed", _second_colon),
    (r"sequence entries are not allowed", _inline_list),
    (r"scanning an? (alias|anchor)", _star),
    (r"cannot start any token", _special_character),
    (r"could not find expected ':'", _no_colon),
    (r"quoted scalar: .*unexpected (end of stream|document separator)", _open_quote),
    (r"escape", _escape),
    (r"scanning a block scalar", _block_header),
    (r"',' or '[\]}]'", _open_bracket),
    (r"scanning a directive|unknown directive|incompatible YAML", _directive),
    (r"<document start>", _behind_the_end),
    (r"tag", _tag),
    (r"node content", _no_content),
    (r"expected key|'-' indicator|<block end>", _indentation),
)
