"""What every schedule can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from wherry.schedule.zones import find_zone, in_utc


@dataclass(frozen=True, kw_only=True)
class Firing:
    """One firing, and what a change of the clocks did to it."""

    #: The instant, in UTC.
    at: datetime
    #: The same instant in the schedule's zone.
    local: datetime
    #: One line for people: occurrences skipped just before this one, or which pass of a repeated hour this is.
    note: str = ""


@dataclass(frozen=True)
class Schedule(ABC):
    """A schedule expression, understood. Two schedules are equal when they mean the same fields.

    `timezone` is an IANA name or a tzinfo; an unknown name raises ScheduleError. `anchor` is the instant from which
    `rate()` counts; the other kinds ignore it. Datetimes must be aware (ValueError); answers are in UTC.
    """

    #: As it was written.
    expression: str = field(compare=False)

    def firings(
        self, after: datetime, *, timezone: tzinfo | str = UTC, anchor: datetime | None = None
    ) -> Iterator[Firing]:
        """The firings strictly after an instant, in order; endless for most schedules."""
        return self._firings(in_utc(after), find_zone(timezone), None if anchor is None else in_utc(anchor))

    def next_after(
        self, after: datetime, *, timezone: tzinfo | str = UTC, anchor: datetime | None = None
    ) -> datetime | None:
        """The first firing strictly after an instant, None when there is none any more."""
        return next((firing.at for firing in self.firings(after, timezone=timezone, anchor=anchor)), None)

    def previous_before(
        self, before: datetime, *, timezone: tzinfo | str = UTC, anchor: datetime | None = None
    ) -> datetime | None:
        """The last firing strictly before an instant, None when there was none."""
        return self._previous(in_utc(before), find_zone(timezone), None if anchor is None else in_utc(anchor))

    @abstractmethod
    def to_eventbridge(self) -> str:
        """The expression for EventBridge Scheduler; raises ScheduleError when EventBridge has none of that meaning."""

    @abstractmethod
    def _firings(self, after: datetime, zone: tzinfo, anchor: datetime | None) -> Iterator[Firing]:
        """The firings after an instant in UTC."""

    @abstractmethod
    def _previous(self, before: datetime, zone: tzinfo, anchor: datetime | None) -> datetime | None:
        """The last firing before an instant in UTC."""
