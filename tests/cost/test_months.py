"""Firings in a mean month, beside the firings themselves."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry import schedule
from wherry.cost.months import MONTHS, per_month, span
from wherry.schedule.zones import instant_of

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago"]
SINCE = datetime(2026, 11, 21, 16, 30, tzinfo=UTC)


def counted(expression: str, timezone: str, since: datetime) -> Decimal:
    """One by one."""
    zone = schedule.find_zone(timezone)
    first, end = span(since)
    number = 0
    # the first hour of that month may not exist, so it begins a moment before
    after = instant_of(first - timedelta(minutes=1), zone)
    for firing in schedule.parse(expression).firings(after, timezone=timezone):
        if firing.local.replace(tzinfo=None) >= end:
            break
        number += 1
    return Decimal(number) / MONTHS


def field(low, high, most=3):
    values = st.lists(st.integers(low, high), min_size=1, max_size=most, unique=True)
    return values.map(lambda found: ",".join(map(str, sorted(found))))


weekdays = st.sampled_from(["*", "MON-FRI", "SUN", "2#1", "6L", "SAT,TUE"])
month_days = st.one_of(field(1, 31), st.sampled_from(["*", "L", "15W", "LW"]))
days = st.one_of(weekdays.map(lambda day: f"? * {day}"), month_days.map(lambda day: f"{day} * ?"))
crons = st.builds(lambda minute, hour, day: f"cron({minute} {hour} {day} *)", field(0, 59), field(0, 4), days)
unix = st.builds(lambda minute, hour, day: f"{minute} {hour} {day} * 1-5", field(0, 59), field(0, 23), field(1, 31))


@given(st.one_of(crons, unix), st.sampled_from(ZONES), st.integers(0, 120))
@settings(max_examples=40, deadline=None)
def test_as_many_as_there_are(expression, timezone, months):
    since = datetime(2024 + months // 12, months % 12 + 1, 15, tzinfo=UTC)
    assert per_month(expression, timezone, since) == counted(expression, timezone, since)


@pytest.mark.parametrize(
    ("expression", "timezone", "number"),
    [
        ("rate(1 hour)", "UTC", "730.5"),
        ("rate(5 minutes)", "UTC", "8766"),
        ("rate(1 day)", "UTC", "30.4375"),
        ("cron(0 5 * * ? *)", "UTC", "30.4375"),
        ("cron(0 5 1 * ? *)", "Europe/Berlin", "1"),
        ("cron(0 5 31 * ? *)", "UTC", f"{Decimal(28) / 48}"),
        ("cron(0 5 1 1 ? 2027)", "UTC", f"{Decimal(1) / 48}"),
        ("at(2027-01-01T00:00:00)", "UTC", "0"),
    ],
)
def test_known_numbers(expression, timezone, number):
    assert per_month(expression, timezone, SINCE) == Decimal(number)


def test_the_hour_that_a_spring_skips_does_not_count():
    assert per_month("cron(30 2 * * ? *)", "Europe/Berlin", SINCE) == Decimal(1461 - 4) / 48
    half_hours = "cron(0,30 * * * ? *)"
    assert per_month(half_hours, "Europe/Berlin", SINCE) == counted(half_hours, "Europe/Berlin", SINCE)
