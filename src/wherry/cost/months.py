"""How often a schedule fires in a mean month."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from decimal import Decimal

from wherry import schedule
from wherry.schedule.days import Month
from wherry.schedule.zones import instant_of

#: Four years: each weekday and each length of a month is in them as often as it is on average, and one leap day.
MONTHS = 48


def per_month(expression: str, timezone: str, since: datetime) -> Decimal:
    """Firings in a mean month, of the 48 that begin with the month of `since`; exact, with what daylight saving skips.

    `at()` counts nothing: it fires once. Raises ScheduleError.
    """
    parsed = schedule.parse(expression)
    match parsed:
        case schedule.Rate():
            first, end = span(since)
            return Decimal((end - first) // timedelta(seconds=1)) / Decimal(
                MONTHS * (parsed.interval // timedelta(seconds=1))
            )
        case schedule.Cron():
            zone = schedule.find_zone(timezone)
            months = (divmod(since.year * 12 + since.month - 1 + number, 12) for number in range(MONTHS))
            return Decimal(sum(_in_month(parsed, year, month + 1, zone) for year, month in months)) / MONTHS
    return Decimal(0)


def span(since: datetime) -> tuple[datetime, datetime]:
    """The beginning of the 48 months, and of the one after them; in wall time."""
    year, month = divmod(since.year * 12 + since.month - 1 + MONTHS, 12)
    return datetime(since.year, since.month, 1), datetime(year, month + 1, 1)  # noqa: DTZ001 - a wall time has no zone


def _in_month(cron: schedule.Cron, year: int, month: int, zone: tzinfo) -> int:
    if month not in cron.months or year not in cron.years:
        return 0
    days = cron.days.of(Month.of(year, month))
    skipped = sum(_skipped(cron, datetime(year, month, day), zone) for day in days)  # noqa: DTZ001
    return len(days) * len(cron.hours) * len(cron.minutes) - skipped


def _skipped(cron: schedule.Cron, day: datetime, zone: tzinfo) -> int:
    """The firings of a day whose wall time does not exist."""
    if day.replace(tzinfo=zone).utcoffset() == (day + timedelta(days=1)).replace(tzinfo=zone).utcoffset():
        return 0
    walls = (day.replace(hour=hour, minute=minute) for hour in cron.hours for minute in cron.minutes)
    return sum(instant_of(wall, zone) is None for wall in walls)
