"""EventBridge's own expressions: what stands between the parentheses of `cron()`, `rate()` and `at()`.

Sources: EventBridge User Guide "Creating a rule that runs on a schedule" and Scheduler User Guide "Schedule types".
Where the Scheduler takes more than scheduled rules do, the Scheduler decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from wherry.errors import ScheduleError
from wherry.schedule.days import DayRule, DaysOfMonth, LastDay, LastWeekday, NearestWorkday, NthWeekday, weekdays
from wherry.schedule.fields import HOURS, MINUTES, MONTH_DAYS, MONTHS, WEEKDAYS, YEARS, parse_value, parse_values
from wherry.schedule.kinds import At, Cron, Rate

_FIELDS = "minutes hours day-of-month month day-of-week year"
_WITHOUT_YEAR, _ALL_FIELDS, _WITH_SECONDS = 5, 6, 7


def parse_cron(expression: str, inner: str) -> Cron:
    """The cron of `cron(inner)`: six fields, or five without the year. Raises ScheduleError."""
    fields = inner.split()
    if len(fields) not in (_WITHOUT_YEAR, _ALL_FIELDS):
        raise _wrong_count(expression, fields)
    if inner != inner.strip():
        raise ScheduleError(
            f"`{expression}` has white space inside its parentheses", hint=f"write `cron({inner.strip()})`"
        )
    minutes, hours, month_days, months, days, year = [*fields, "*"][:_ALL_FIELDS]
    return Cron(
        expression,
        minutes=parse_values(minutes, MINUTES),
        hours=parse_values(hours, HOURS),
        months=parse_values(months, MONTHS),
        days=_days(expression, fields, month_days, days),
        years=parse_values(year, YEARS),
    )


def _wrong_count(expression: str, fields: Sequence[str]) -> ScheduleError:
    count = f"{len(fields) or 'no'} field{'' if len(fields) == 1 else 's'}"
    hint = "they are " + _FIELDS
    if len(fields) == _WITH_SECONDS:
        hint = f"EventBridge has no seconds field; {hint}"
    return ScheduleError(f"`{expression}` has {count} instead of 6", hint=hint)


def _days(expression: str, fields: Sequence[str], month_days: str, days: str) -> DayRule:
    """The rule of the two day fields, of which exactly one must be `?`."""
    by_month = None if month_days == "?" else _month_days(month_days)
    by_week = None if days == "?" else _weekdays(days)
    if by_month is not None and by_week is not None:
        raise _no_question_mark(expression, fields)
    rule = by_month or by_week
    if rule is None:
        raise ScheduleError(
            "day-of-month and day-of-week are both `?`, exactly one of them must be",
            hint=f"write `{_with_days(fields, '*', '?')}` for every day",
        )
    return rule


def _no_question_mark(expression: str, fields: Sequence[str]) -> ScheduleError:
    month_days, days = fields[2], fields[4]
    if len(fields) == _WITHOUT_YEAR:
        hint = f"for unix cron write the five fields alone: `{expression[len('cron(') : -1]}`"
    elif days == "*":
        hint = f"write `{_with_days(fields, month_days, '?')}`"
    elif month_days == "*":
        hint = f"write `{_with_days(fields, '?', days)}`"
    else:
        one, other = _with_days(fields, month_days, "?"), _with_days(fields, "?", days)
        hint = f"write two triggers, `{one}` and `{other}`"
    return ScheduleError("neither day-of-month nor day-of-week is `?`, exactly one of them must be", hint=hint)


def _with_days(fields: Sequence[str], month_days: str, days: str) -> str:
    return f"cron({' '.join([*fields[:2], month_days, fields[3], days, *fields[5:]])})"


def _month_days(text: str) -> DayRule:
    upper = text.upper()
    if upper == "L":
        return LastDay()
    if upper == "LW":
        return NearestWorkday(None)
    if "#" in text:
        raise MONTH_DAYS.error(f"`{text}` is not allowed, `#` belongs to day-of-week")
    if upper.endswith("W") and upper[:-1].isdecimal():
        return NearestWorkday(parse_value(text[:-1], text, MONTH_DAYS))
    if "L" in upper or "W" in upper:
        raise MONTH_DAYS.error(
            f"`{text}` is not allowed, the forms with letters are `L`, `LW` and `15W`",
            hint="each stands alone, without lists, ranges or offsets",
        )
    return DaysOfMonth(parse_values(text, MONTH_DAYS))


def _weekdays(text: str) -> DayRule:
    upper = text.upper()
    if "#" in text:
        return _nth_weekday(text)
    if upper == "L":
        # Quartz: the last day of the week. AWS documents `L` with a weekday only (UNVERIFIED)
        return weekdays((7,))
    if upper.endswith("L") and upper[:-1].isalnum():
        return LastWeekday(parse_value(text[:-1], text, WEEKDAYS))
    if "L" in upper:
        raise WEEKDAYS.error(
            f"`{text}` is not allowed, the form with `L` is `6L`, the last Friday of the month",
            hint="it stands alone, without lists, ranges or offsets",
        )
    return weekdays(parse_values(text, WEEKDAYS))


def _nth_weekday(text: str) -> NthWeekday:
    weekday, _, number = text.partition("#")
    if "," in text or "#" in number:
        raise WEEKDAYS.error(
            f"`{text}` is not allowed, an expression with `#` stands alone",
            hint="write a trigger for each, as in `3#1` and `6#3`",
        )
    if number not in ("1", "2", "3", "4", "5"):
        raise WEEKDAYS.error(f"what follows `#` in `{text}` is not one of 1-5", hint="`3#2` is the second Tuesday")
    return NthWeekday(parse_value(weekday, text, WEEKDAYS), int(number))


_RATE_HINT = "write for example `rate(5 minutes)`"
_UNITS = {"minute": "minute", "minutes": "minute", "hour": "hour", "hours": "hour", "day": "day", "days": "day"}


def parse_rate(expression: str, inner: str) -> Rate:
    """The rate of `rate(inner)`: a positive whole number, one space, a unit. Raises ScheduleError."""
    value, _, unit = inner.partition(" ")
    if not re.fullmatch(r"[^\s]+ [^\s]+", inner):
        words = inner.split()
        hint = f"write `rate({' '.join(words)})`" if _is_rate(words) else _RATE_HINT
        raise ScheduleError(f"`{expression}` is not a whole number, one space and a unit", hint=hint)
    if not value.isdecimal() or not value.strip("0"):
        raise ScheduleError(f"`{value}` in `{expression}` is not a positive whole number", hint=_RATE_HINT)
    if unit not in _UNITS:
        raise ScheduleError(
            f"`{unit}` in `{expression}` is not one of `minutes`, `hours`, `days`", hint=_unit_hint(value, unit)
        )
    rate = Rate(expression, int(value), _UNITS[unit])
    try:
        _ = rate.interval
    except OverflowError:
        raise ScheduleError(f"`{expression}` is longer than the calendar") from None
    return rate


def _is_rate(words: Sequence[str]) -> bool:
    return len(words) == len(("value", "unit")) and words[0].isdecimal() and words[1] in _UNITS


def _unit_hint(value: str, unit: str) -> str | None:
    if unit.lower() in _UNITS:
        return f"write `rate({value} {unit.lower()})`"
    if unit.lower() in ("second", "seconds"):
        return "no schedule is finer than one minute"
    import difflib  # costs 10 ms, and only mistakes need it

    close = difflib.get_close_matches(unit.lower(), _UNITS, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else None


_AT_HINT = "write `at(yyyy-mm-ddThh:mm:ss)`"


def parse_at(expression: str, inner: str) -> At:
    """The instant of `at(inner)`: a local date and time, with or without seconds. Raises ScheduleError."""
    found = re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?", inner)
    if found is None:
        raise ScheduleError(f"`{expression}` is not a local date and time", hint=_at_hint(inner))
    numbers = [int(number or 0) for number in found.groups()]
    try:
        return At(expression, datetime(*numbers))  # type: ignore[arg-type]  # noqa: DTZ001 - its zone comes later
    except ValueError:
        raise ScheduleError(f"`{inner}` is not in the calendar", hint=_AT_HINT) from None


def _at_hint(inner: str) -> str:
    """What to write instead of a nearly right date."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?)?", inner)
    if found is None:
        return _AT_HINT
    date, time, seconds, _, zone = found.groups()
    hint = f"write `at({date}T{time or '00:00'}{seconds or ':00'})`"
    return f"{hint}, and its zone as `timezone`" if zone else hint
