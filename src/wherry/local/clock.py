"""The one place that reads the clock: everything else takes the time as an argument, or takes a clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

#: Gives the present moment as an aware datetime in UTC.
Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the door


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970, as the store keeps times."""
    return round(moment.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime:
    """The aware datetime of a stored time."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
