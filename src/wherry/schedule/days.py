"""Which days of a month a cron means.

Weekdays are numbered as EventBridge does: 1 is Sunday, 7 is Saturday.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass

from wherry.errors import ScheduleError
from wherry.schedule.fields import MONTH_DAYS, WEEKDAY_NAMES, render_values, runs

SUNDAY, SATURDAY = 1, 7
ALL_DAYS = range(1, 32)
ALL_WEEKDAYS = range(1, 8)


@dataclass(frozen=True)
class Month:
    """The shape of a calendar month."""

    #: The weekday of its first day.
    first: int
    #: How many days it has.
    length: int

    @classmethod
    def of(cls, year: int, month: int) -> Month:
        """The shape of that month."""
        monday_is_zero, length = calendar.monthrange(year, month)
        return cls((monday_is_zero + 1) % 7 + 1, length)

    def weekday(self, day: int) -> int:
        """The weekday of one of its days."""
        return (self.first + day - 2) % 7 + 1

    def all(self, weekday: int) -> range:
        """Its days of that weekday."""
        return range(1 + (weekday - self.first) % 7, self.length + 1, 7)


@dataclass(frozen=True)
class DaysOfMonth:
    """`1,15`: days by number; those that a month does not have are skipped."""

    days: Sequence[int]

    def of(self, month: Month) -> Sequence[int]:
        """The days that it means, in order."""
        return [day for day in self.days if day <= month.length]

    def fields(self) -> tuple[str, str]:
        """EventBridge's day-of-month and day-of-week."""
        return render_values(self.days, MONTH_DAYS), "?"


@dataclass(frozen=True)
class LastDay:
    """`L` in day-of-month: the last day of the month."""

    def of(self, month: Month) -> Sequence[int]:
        """The days that it means, in order."""
        return [month.length]

    def fields(self) -> tuple[str, str]:
        """EventBridge's day-of-month and day-of-week."""
        return "L", "?"


@dataclass(frozen=True)
class NearestWorkday:
    """`15W`: the day from Monday to Friday that is nearest to a day, inside its month.

    `LW`, the last one of the month, is Quartz's; AWS documents `L` and `W` only (UNVERIFIED).
    """

    #: None is the month's last day.
    day: int | None

    def of(self, month: Month) -> Sequence[int]:
        """The days that it means, in order; none in a month that does not have the day."""
        day = month.length if self.day is None else self.day
        if day > month.length:
            return []
        if month.weekday(day) == SATURDAY:
            return [day - 1 if day > 1 else day + 2]
        if month.weekday(day) == SUNDAY:
            return [day + 1 if day < month.length else day - 2]
        return [day]

    def fields(self) -> tuple[str, str]:
        """EventBridge's day-of-month and day-of-week."""
        return "LW" if self.day is None else f"{self.day}W", "?"


@dataclass(frozen=True)
class Weekdays:
    """`MON-FRI`: every one of these weekdays."""

    weekdays: Sequence[int]

    def of(self, month: Month) -> Sequence[int]:
        """The days that it means, in order."""
        return sorted(day for weekday in self.weekdays for day in month.all(weekday))

    def fields(self) -> tuple[str, str]:
        """EventBridge's day-of-month and day-of-week: by name, and without `/`, which AWS does not document there."""
        names = [(WEEKDAY_NAMES[first - 1], WEEKDAY_NAMES[last - 1]) for first, last in runs(self.weekdays)]
        return "?", ",".join(first if first == last else f"{first}-{last}" for first, last in names)


@dataclass(frozen=True)
class LastWeekday:
    """`6L`: the last such weekday of the month."""

    weekday: int

    def of(self, month: Month) -> Sequence[int]:
        """The days that it means, in order."""
        return [month.all(self.weekday)[-1]]

    def fields(self) -> tuple[str, str]:
        """EventBridge's day-of-month and day-of-week."""
        return "?", f"{self.weekday}L"


@dataclass(frozen=True)
class NthWeekday:
    """`3#2`: the second Tuesday; months without an n-th one are skipped."""

    weekday: int
    number: int

    def of(self, month: Month) -> Sequence[int]:
        """The days that it means, in order."""
        return month.all(self.weekday)[self.number - 1 : self.number]

    def fields(self) -> tuple[str, str]:
        """EventBridge's day-of-month and day-of-week."""
        return "?", f"{self.weekday}#{self.number}"


@dataclass(frozen=True)
class EitherDay:
    """Five-field cron with both day fields restricted: days that one of them means."""

    month_days: DaysOfMonth
    weekdays: Weekdays

    def of(self, month: Month) -> Sequence[int]:
        """The days that it means, in order."""
        return sorted({*self.month_days.of(month), *self.weekdays.of(month)})

    def fields(self) -> tuple[str, str]:
        """Raises ScheduleError: EventBridge's cron has one day field."""
        raise ScheduleError(
            "EventBridge cannot say day-of-month or day-of-week, whichever comes",
            hint="write two triggers, one with `*` in day-of-week and one with `*` in day-of-month",
        )


@dataclass(frozen=True)
class BothDays:
    """Five-field cron with both day fields restricted, one of them beginning with `*`: days that both mean."""

    month_days: DaysOfMonth
    weekdays: Weekdays

    def of(self, month: Month) -> Sequence[int]:
        """The days that it means, in order."""
        return [day for day in self.month_days.of(month) if month.weekday(day) in self.weekdays.weekdays]

    def fields(self) -> tuple[str, str]:
        """Raises ScheduleError: EventBridge's cron has one day field."""
        raise ScheduleError(
            "EventBridge cannot say day-of-month and day-of-week at once",
            hint="keep one of the two day fields; two triggers, one for each, would fire on a day that either means",
        )


DayRule = DaysOfMonth | LastDay | NearestWorkday | Weekdays | LastWeekday | NthWeekday | EitherDay | BothDays


def weekdays(values: Sequence[int]) -> DayRule:
    """The rule for these weekdays; all seven are every day, however it was written."""
    return DaysOfMonth(ALL_DAYS) if values == ALL_WEEKDAYS else Weekdays(values)
