"""Durations, sizes and CPU shares: text -> value and back."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

#: `2d`, `1h30m`, `500ms`: each unit once, the larger first. The lookahead refuses the empty text.
DURATION_PATTERN: Final = r"(?=.)([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?"
SIZE_PATTERN: Final = r"[0-9]{1,9}(\.[0-9]{1,6})?(MB|MiB|GB|GiB)"

#: A Step Functions execution may not be older, so nothing that wherry waits for may either.
MAX_DURATION: Final = timedelta(days=365)

MEGABYTE: Final = 2**20

_UNITS: Final = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_WORDS: Final = {
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("ms", "msec", "milliseconds"), "ms"),
}
_MEGABYTES: Final = {"": 1, "m": 1, "mb": 1, "mi": 1, "mib": 1, "g": 1024, "gb": 1024, "gi": 1024, "gib": 1024}


class BadValue(ValueError):
    """A text that does not mean such a value; the message completes "`timeout` ..."."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        #: What to write instead, or None.
        self.hint = hint


def parse_duration(text: str) -> timedelta:
    """The length of time that `90s`, `1h30m` or `500ms` means; raises BadValue."""
    if not re.fullmatch(DURATION_PATTERN, text):
        meant = suggest_duration(text)
        raise BadValue(
            f"must be a duration such as `90s`, `10m` or `1h30m`, not `{text}`", f"write `{meant}`" if meant else None
        )
    amounts = [int(amount) * _UNITS[unit] for amount, unit in re.findall(r"([0-9]+)([a-z]+)", text)]
    # each is checked before their sum: together they could be more than a timedelta holds
    if max(amounts) > MAX_DURATION or sum(amounts, timedelta(0)) > MAX_DURATION:
        raise BadValue(f"must be at most `{format_duration(MAX_DURATION)}`")
    return sum(amounts, timedelta(0))


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads as this duration, in whole milliseconds; `0s` for nothing."""
    parts = []
    for unit, length in _UNITS.items():
        amount, duration = divmod(duration, length)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


def suggest_duration(text: str) -> str | None:
    """What somebody who wrote `10 minutes`, `90` or `1.5h` means, in our spelling; None when that is not clear."""
    compact = text.strip().lower().removeprefix("pt")
    if compact.isdecimal() and compact.isascii() and len(compact) < 9:
        return f"{int(compact)}s" if int(compact) else None
    found = re.findall(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([a-z]*)[\s,]*", compact)
    if not found or not re.fullmatch(r"([0-9.]+\s*[a-z]*[\s,]*)+", compact):
        return None
    total = timedelta(0)
    for amount, word in found:
        unit = _WORDS.get(word)
        if unit is None or float(amount) * _UNITS[unit] > MAX_DURATION:
            return None
        total += float(amount) * _UNITS[unit]
    return format_duration(total) if total else None


def parse_size(text: str) -> int:
    """The bytes that `512MB` or `4GB` means; raises BadValue.

    MB and MiB are both 2**20 bytes and GB and GiB both 2**30: ECS counts so, and a limit that means something else
    here than there would help nobody.
    """
    match = re.fullmatch(r"([0-9.]+)([MG])i?B", text) if re.fullmatch(SIZE_PATTERN, text) else None
    if match is None:
        meant = suggest_size(text)
        raise BadValue(f"must be a size such as `512MB` or `4GB`, not `{text}`", f"write `{meant}`" if meant else None)
    megabytes = float(match[1]) * (1024 if match[2] == "G" else 1)
    if megabytes == 0:
        raise BadValue("must be more than `0MB`")
    if megabytes != int(megabytes):
        raise BadValue("must be a whole number of megabytes", f"write `{round(megabytes) or 1}MB`")
    return int(megabytes) * MEGABYTE


def suggest_size(text: str) -> str | None:
    """What somebody who wrote `512`, `1g` or `4 GB` means, in our spelling; None when that is not clear."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([a-z]*)", text.strip().lower())
    if match is None or match[2] not in _MEGABYTES:
        return None
    megabytes = round(float(match[1]) * _MEGABYTES[match[2]])
    if megabytes == 0:
        return None
    return f"{megabytes // 1024}GB" if megabytes % 1024 == 0 else f"{megabytes}MB"


#: From this number on a `cpu` counts ECS units, 1,024 to a vCPU.
FIRST_UNITS: Final = 256
#: Up to this number it counts vCPUs; what lies between could mean either, and is refused.
LAST_VCPU: Final = 64
#: The largest ECS task, in vCPUs.
MAX_VCPU: Final = 192


def parse_cpu(value: float) -> float:
    """The vCPUs of `0.25` (vCPU) or `256` (ECS units); raises BadValue."""
    if value <= 0:
        raise BadValue("must be more than 0")
    if value <= LAST_VCPU:
        return float(value)
    if value < FIRST_UNITS:
        raise BadValue(
            f"could mean {value:g} vCPUs or {value:g} ECS units",
            f"write `{value * 1024:.0f}` for the vCPUs or `{value / 1024:g}` for the ECS units",
        )
    if value != int(value):
        raise BadValue("must be a whole number when it counts ECS units")
    if value > MAX_VCPU * 1024:
        raise BadValue(f"is more than the {MAX_VCPU} vCPUs of the largest ECS task")
    return value / 1024
