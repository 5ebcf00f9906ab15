"""Templates as text: YAML for people, JSON for programs. The same template is the same text, byte by byte."""

from __future__ import annotations

import json
from typing import Any

from wherry.errors import UserError

#: A stack has no more resources than this, and its template no more bytes (the guide says 1 MB).
MOST_RESOURCES = 500
MOST_BYTES = 1_000_000
Template = dict[str, Any]


def refuse_too_large(template: Template) -> None:
    """Raise UserError for more than a stack may hold (CloudFormation User Guide, "CloudFormation quotas")."""
    count, size = len(template["Resources"]), len(to_json(template).encode())
    if count > MOST_RESOURCES:
        raise UserError(
            f"a stack has at most {MOST_RESOURCES} resources, and this would be one of {count}",
            hint="divide the jobs between two job files, each with an `app` of its own",
        )
    if size > MOST_BYTES:
        raise UserError(
            f"a template has at most {MOST_BYTES:,} bytes, and this would be one of {size:,}",
            hint="divide the jobs between two job files, each with an `app` of its own",
        )


def to_json(template: Template) -> str:
    """Compact JSON."""
    return json.dumps(template, ensure_ascii=False, separators=(",", ":"))


def to_yaml(template: Template) -> str:
    """YAML with long texts as blocks; nothing is sorted and nothing refers to elsewhere."""
    return "\n".join(_lines(template, "")) + "\n"


def _lines(node: Any, indent: str) -> list[str]:
    match node:
        case dict() if node:
            return [line for name, value in node.items() for line in _entry(f"{_key(name)}:", value, indent)]
        case list() if node:
            return [line for value in node for line in _entry("-", value, indent)]
        case _:
            return [f"{indent}{_scalar(node)}"]


def _entry(head: str, value: Any, indent: str) -> list[str]:
    inner = f"{indent}  "
    if isinstance(value, str) and "\n" in value and _fits_block(value):
        return [f"{indent}{head} |-", *(f"{inner}{line}".rstrip() for line in value.split("\n"))]
    if isinstance(value, dict | list) and value:
        lines = _lines(value, inner)
        if head == "-":
            return [f"{indent}- {lines[0].lstrip()}", *lines[1:]]
        return [f"{indent}{head}", *lines]
    return [f"{indent}{head} {_scalar(value)}"]


def _fits_block(text: str) -> bool:
    """True when a block says it exactly: no odd characters, no space at a line's end or the text's beginning."""
    return (
        all(line.isprintable() and line == line.rstrip() for line in text.split("\n"))
        and not text.startswith((" ", "\n"))
        and not text.endswith("\n")
    )


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:")


def _key(name: str) -> str:
    return _scalar(name)


def _scalar(value: Any) -> str:
    """Plain where nobody could misread it, else as JSON, which is YAML too."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    is_plain = (
        value
        and set(value) <= _PLAIN
        and value[0].isalpha()
        and not value.endswith(":")
        and value.lower() not in {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
    )
    if is_plain or value.isprintable():
        return value if is_plain else json.dumps(value, ensure_ascii=False)
    # YAML's escapes, which unlike JSON's reach beyond the first 65,536 characters
    return '"' + "".join(_escaped(character) for character in value) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"
