"""What one JSON value is to an event pattern: a number as a double, a text as an IP address.

EventBridge's matcher (aws/event-ruler) is written in Java and takes Java's view of both; so does this module, also
where Python's own `ipaddress` is stricter.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, Self

from wherry.errors import PatternError

_IPV4: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_IPV6: Final = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*")
_MAPPED: Final = bytes(10) + b"\xff\xff"
_LONGEST_IPV4: Final = 15


class HugeNumber(float):
    """A JSON number beyond the range of a double. It is infinite to arithmetic; only its own text equals it."""

    def __new__(cls, text: str) -> Self:
        """The number that this JSON text means."""
        number = super().__new__(cls, "-inf" if text.startswith("-") else "inf")
        number.text = text
        return number

    #: As it was written.
    text: str

    def __eq__(self, other: object) -> bool:
        return self.text == (other.text if isinstance(other, HugeNumber) else other)

    def __hash__(self) -> int:
        return hash(self.text)


def loads(text: str) -> Any:
    """Read JSON so that nothing a pattern can tell apart is lost; use it for patterns and for events.

    Beyond `json.loads`: numbers too large for a double keep their text, and of a repeated key the last one wins and
    stands last. Raises PatternError for what is not JSON, with line and column, and for what is nested too deeply.
    """
    try:
        return json.loads(
            text,
            parse_float=_read_float,
            parse_int=_read_int,
            parse_constant=_refuse_constant,
            object_pairs_hook=_last_wins,
        )
    except json.JSONDecodeError as error:
        raise PatternError(f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise PatternError("the JSON is nested too deeply") from None


def _read_float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else HugeNumber(text)


def _read_int(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:  # Python converts 4,300 digits at most
        return HugeNumber(text)


def _refuse_constant(name: str) -> Any:
    raise PatternError(f"not valid JSON: `{name}` is not a JSON value")


def _last_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in pairs:
        # Out and in again: inside `$or` the order of fields has a meaning.
        document.pop(name, None)
        document[name] = value
    return document


def is_number(value: object) -> bool:
    """True for JSON numbers; Python's True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_double(number: float) -> float | None:
    """The IEEE double of a JSON number, None where it is beyond a double's range."""
    try:
        double = float(number)
    except OverflowError:
        return None
    return double if math.isfinite(double) else None


def as_address(text: str) -> bytes | None:
    """The 4 or 16 bytes of an IP address literal in any spelling, None for other text.

    As Java's `InetAddress`: leading zeros are decimal, an IPv4-mapped IPv6 address is the IPv4 address. A zone id makes
    it other text (event-ruler's `Constants.IPv6_REGEX` has no `%`), and so do dots after colons.
    """
    if _IPV4.fullmatch(text):
        return _as_ipv4(text)
    if _IPV6.fullmatch(text):
        return _as_ipv6(text)
    return None


def looks_like_address(text: str) -> bool:
    """True for what event-ruler tries to read as an address, successfully or not."""
    return bool(_IPV4.fullmatch(text) or _IPV6.fullmatch(text))


def _as_ipv4(text: str) -> bytes | None:
    if len(text) > _LONGEST_IPV4:
        return None
    octets = [int(part) for part in text.split(".")]
    return bytes(octets) if max(octets) <= 0xFF else None


def _as_ipv6(text: str) -> bytes | None:
    head, gap, tail = text.partition("::")
    before, after = _groups(head), _groups(tail)
    if before is None or after is None:
        return None
    missing = 8 - len(before) - len(after)
    if missing < 0 or bool(gap) != bool(missing):
        return None
    octets = b"".join(group.to_bytes(2, "big") for group in [*before, *[0] * missing, *after])
    return octets[12:] if octets.startswith(_MAPPED) else octets


def _groups(text: str) -> list[int] | None:
    if not text:
        return []
    parts = text.split(":")
    if not all(parts):
        return None
    # Java counts the value, not the digits: `00001` is a group.
    groups = [int(part, 16) for part in parts]
    return groups if max(groups) <= 0xFFFF else None
