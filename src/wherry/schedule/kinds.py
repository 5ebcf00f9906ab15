"""The three kinds of schedule, and how each finds its firings.

A cron walks its fields from the year down to the minute, so that the next firing costs the same when it is a minute or
a century away; the year field's end, 2199, bounds the walk of one that never fires.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from wherry.errors import ScheduleError
from wherry.schedule.base import Firing, Schedule
from wherry.schedule.days import DayRule, Month
from wherry.schedule.fields import HOURS, MINUTES, MONTHS, render_values
from wherry.schedule.zones import end_of_gap, happens_twice, instant_of, latest_wall, wall_of

# No cron fires outside of these, whatever its zone; conversions between zones are safe inside.
_DAWN = datetime(1969, 12, 30, tzinfo=UTC)
_DUSK = datetime(2200, 1, 3, tzinfo=UTC)


@dataclass(frozen=True)
class Cron(Schedule):
    """`cron()` of EventBridge, or five-field cron: the minutes that its fields allow, in wall time of a zone."""

    minutes: Sequence[int]
    hours: Sequence[int]
    days: DayRule
    months: Sequence[int]
    years: Sequence[int]

    def to_eventbridge(self) -> str:
        """The `cron()` expression for EventBridge Scheduler, always with its year.

        A `cron()` keeps its text. Raises ScheduleError for five-field cron that needs both day fields, which
        EventBridge's grammar does not allow.
        """
        if self.expression.startswith("cron("):
            fields = self.expression[len("cron(") : -1].upper().split()
            return f"cron({' '.join([*fields, '*'][:6])})"
        minutes, hours = render_values(self.minutes, MINUTES), render_values(self.hours, HOURS)
        try:
            day_of_month, day_of_week = self.days.fields()
        except ScheduleError as error:
            raise ScheduleError(f"`{self.expression}`: {error.message}", hint=error.hint) from None
        # lists without any rhythm come to 240 characters at most, and AWS takes 256
        return f"cron({minutes} {hours} {day_of_month} {render_values(self.months, MONTHS)} {day_of_week} *)"

    def _firings(self, after: datetime, zone: tzinfo, anchor: datetime | None) -> Iterator[Firing]:
        del anchor  # a cron's firings are where the clocks say
        if after >= _DUSK:
            return
        after = max(after, _DAWN)
        skipped: list[datetime] = []
        for wall in self._walls(wall_of(after, zone)):
            instant = instant_of(wall, zone)
            if instant is None:
                skipped.append(wall)
            elif instant > after:
                yield Firing(at=instant, local=instant.astimezone(zone), note=_note(wall, skipped, zone))
                after, skipped = instant, []

    def _previous(self, before: datetime, zone: tzinfo, anchor: datetime | None) -> datetime | None:
        del anchor
        if before <= _DAWN:
            return None
        before = min(before, _DUSK)
        for wall in self._walls(latest_wall(before, zone), backwards=True):
            instant = instant_of(wall, zone)
            if instant is not None and instant < before:
                return instant
        return None

    def _walls(self, start: datetime, *, backwards: bool = False) -> Iterator[datetime]:
        """The wall times that the fields allow, from the minute of `start` on (or back), that minute included."""
        edge = _edge(backwards)
        for year, month, day in self._dates(start, backwards):
            same_day = (year, month, day) == (start.year, start.month, start.day)
            for hour in _walk(self.hours, start.hour if same_day else edge, backwards):
                same_hour = same_day and hour == start.hour
                for minute in _walk(self.minutes, start.minute if same_hour else edge, backwards):
                    yield datetime(year, month, day, hour, minute)  # noqa: DTZ001 - a wall time has no zone

    def _dates(self, start: datetime, backwards: bool) -> Iterator[tuple[int, int, int]]:
        """The dates that the fields allow, from `start` on (or back)."""
        edge = _edge(backwards)
        for year in _walk(self.years, start.year, backwards):
            for month in _walk(self.months, start.month if year == start.year else edge, backwards):
                same_month = (year, month) == (start.year, start.month)
                days = self.days.of(Month.of(year, month))
                for day in _walk(days, start.day if same_month else edge, backwards):
                    yield year, month, day


def _edge(backwards: bool) -> int:
    """A bound that no field's value lies beyond."""
    return 9999 if backwards else -1


def _walk(values: Sequence[int], bound: int, backwards: bool) -> Sequence[int]:
    """The values from the bound on, upwards or downwards."""
    if backwards:
        return values[: bisect_right(values, bound)][::-1]
    return values[bisect_left(values, bound) :]


def _note(wall: datetime, skipped: Sequence[datetime], zone: tzinfo) -> str:
    notes = []
    if len(skipped) == 1:
        notes.append(f"skipped {skipped[0]:%Y-%m-%d %H:%M}, which does not exist in {zone}")
    elif skipped:
        one_day = skipped[0].date() == skipped[-1].date()
        span = f"from {skipped[0]:%Y-%m-%d %H:%M} to {skipped[-1]:{'%H:%M' if one_day else '%Y-%m-%d %H:%M'}}"
        notes.append(f"skipped {len(skipped)} {span}, which do not exist in {zone}")
    if happens_twice(wall, zone):
        notes.append(f"{wall:%H:%M} happens twice in {zone}, this is the first")
    return "; ".join(notes)


@dataclass(frozen=True)
class Rate(Schedule):
    """`rate(5 minutes)`: every so much elapsed time, counted from an anchor.

    The anchor is a firing itself, as the Scheduler's StartDate is. Without one (for display) firings are counted from
    the instant that the question names.
    """

    value: int
    #: `minute`, `hour` or `day`.
    unit: str

    @property
    def interval(self) -> timedelta:
        """The time between two firings; a day is 24 hours."""
        return timedelta(**{f"{self.unit}s": self.value})

    def to_eventbridge(self) -> str:
        """The `rate()` expression, with its unit in the singular after 1 only, as scheduled rules want it too."""
        return f"rate({self.value} {self.unit}{'' if self.value == 1 else 's'})"

    def _firings(self, after: datetime, zone: tzinfo, anchor: datetime | None) -> Iterator[Firing]:
        anchor = after if anchor is None else anchor
        count = max(0, (after - anchor) // self.interval + 1)
        try:
            while True:
                at = anchor + count * self.interval
                yield Firing(at=at, local=at.astimezone(zone))
                count += 1
        except OverflowError:
            return  # the calendar ends

    def _previous(self, before: datetime, zone: tzinfo, anchor: datetime | None) -> datetime | None:
        del zone
        if anchor is not None:
            # rounded up, then one back: a firing at `before` itself is not before it
            count = -((anchor - before) // self.interval) - 1
            return None if count < 0 else anchor + count * self.interval
        try:
            return before - self.interval
        except OverflowError:
            return None


@dataclass(frozen=True)
class At(Schedule):
    """`at(2026-07-01T09:00:00)`: once, at a wall time of a zone.

    A wall time that happens twice means the first instant. One that does not exist fires when the clocks jump over it:
    AWS does not say what it does (UNVERIFIED), and a promise of one run is better kept than dropped.
    """

    #: Naive.
    wall: datetime

    def to_eventbridge(self) -> str:
        """The `at()` expression, with its seconds."""
        return f"at({self.wall.isoformat(timespec='seconds')})"

    def _firings(self, after: datetime, zone: tzinfo, anchor: datetime | None) -> Iterator[Firing]:
        del anchor
        at = self._instant(zone)
        if at is None or at <= after:
            return
        local = at.astimezone(zone)
        note = _note(self.wall, (), zone)
        if local.replace(tzinfo=None) != self.wall:
            note = f"{self.wall:%H:%M} does not exist in {zone} on this day, this is when the clocks jump over it"
        yield Firing(at=at, local=local, note=note)

    def _previous(self, before: datetime, zone: tzinfo, anchor: datetime | None) -> datetime | None:
        del anchor
        at = self._instant(zone)
        return at if at is not None and at < before else None

    def _instant(self, zone: tzinfo) -> datetime | None:
        """The instant in UTC; None outside of the calendar, as for the first hours of the year 1 in Berlin."""
        try:
            return instant_of(self.wall, zone) or end_of_gap(self.wall, zone)
        except OverflowError:
            return None
