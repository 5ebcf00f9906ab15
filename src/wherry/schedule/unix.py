"""Five-field cron, with the meaning that Vixie cron gives it (crontab(5)).

`MINUTES HOURS DAY-OF-MONTH MONTH DAY-OF-WEEK`: Sunday is 0 or 7, ranges do not wrap, `a/n` means `a-END/n` as in
cronie. When both day fields are restricted, a day that either of them means is enough; but a field that begins with
`*`, `*/2` too, does not count as restricted, and then both must mean the day.
"""

from __future__ import annotations

from collections.abc import Sequence

from wherry.errors import ScheduleError
from wherry.schedule.days import (
    ALL_DAYS,
    ALL_WEEKDAYS,
    BothDays,
    DayRule,
    DaysOfMonth,
    EitherDay,
    Weekdays,
    weekdays,
)
from wherry.schedule.fields import (
    UNIX_HOURS,
    UNIX_MINUTES,
    UNIX_MONTH_DAYS,
    UNIX_MONTHS,
    UNIX_WEEKDAYS,
    YEARS,
    Field,
    compact,
    parse_values,
)
from wherry.schedule.kinds import Cron

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def parse_macro(expression: str) -> Cron:
    """The cron of `@daily` and the like; raises ScheduleError for others, `@reboot` by name."""
    if expression in _MACROS:
        return parse_unix(expression, _MACROS[expression].split())
    word = expression.split(maxsplit=1)[0]
    known = "known: " + ", ".join(f"`{name}`" for name in _MACROS)
    if word.lower() == "@reboot":
        raise ScheduleError("`@reboot` is not a time: nothing boots here", hint="start the job by hand: `wherry run`")
    if word.lower() == "@every":
        raise ScheduleError("`@every` is not understood", hint="write `rate(90 minutes)`")
    raise ScheduleError(f"`{expression}` is not understood", hint=known)


def parse_unix(expression: str, fields: Sequence[str]) -> Cron:
    """The cron of exactly five fields; raises ScheduleError."""
    minutes, hours, month_days, months, weekday_numbers = fields
    return Cron(
        expression,
        minutes=_values(minutes, UNIX_MINUTES),
        hours=_values(hours, UNIX_HOURS),
        days=_days(month_days, weekday_numbers),
        months=_values(months, UNIX_MONTHS),
        years=range(YEARS.low, YEARS.high + 1),
    )


def _days(month_day_text: str, weekday_text: str) -> DayRule:
    month_days = _values(month_day_text, UNIX_MONTH_DAYS)
    # unix 0 and 7 are Sunday, EventBridge's 1
    week = compact(number % 7 + 1 for number in _values(weekday_text, UNIX_WEEKDAYS))
    both = month_day_text.startswith("*") or weekday_text.startswith("*")
    if week == ALL_WEEKDAYS:
        return DaysOfMonth(month_days if both else ALL_DAYS)
    if month_days == ALL_DAYS:
        return weekdays(week) if both else DaysOfMonth(ALL_DAYS)
    kind = BothDays if both else EitherDay
    return kind(DaysOfMonth(month_days), Weekdays(week))


def _values(text: str, field: Field) -> Sequence[int]:
    if "?" in text:
        raise field.error(f"`{text}` is not allowed, `?` belongs to `cron()`", hint="write `*`")
    if "#" in text or text.upper() in ("L", "LW") or (text[:-1].isdecimal() and text[-1] in "LlWw"):
        raise field.error(f"`{text}` is not part of five-field cron", hint="`L`, `W` and `#` belong to `cron()`")
    return parse_values(text, field)
