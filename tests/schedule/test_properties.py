"""Random schedules against an oracle that looks at every minute."""

from __future__ import annotations

import contextlib
import itertools
import re
from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wherry import schedule
from wherry.errors import ScheduleError

#: Is this date, or this wall time, meant?
Means = Callable[[Any], bool]

NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

#: (zone, an instant near which its clocks do something)
CHANGES = [
    ("UTC", "2026-02-28T12:00:00Z"),
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Asia/Kathmandu", "2026-12-31T18:15:00Z"),
]


@st.composite
def items(draw, low, high, *, wraps):
    """One item of a field: (text, what it means), by the words of the manual."""
    everything = list(range(low, high + 1))
    first, last = draw(st.sampled_from(everything)), draw(st.sampled_from(everything))
    step = draw(st.integers(1, high))
    kind = draw(st.sampled_from(["*", "a", "a-b", "a/n", "a-b/n", "*/n"]))
    if not wraps and first > last:
        first, last = last, first
    circle = everything[first - low :] + everything[: first - low]
    arc = circle[: circle.index(last) + 1]
    return {
        "*": ("*", set(everything)),
        "a": (f"{first}", {first}),
        "a-b": (f"{first}-{last}", set(arc)),
        "a/n": (f"{first}/{step}", set(everything[first - low :: step])),
        "a-b/n": (f"{first}-{last}/{step}", set(arc[::step])),
        "*/n": (f"*/{step}", set(everything[::step])),
    }[kind]


@st.composite
def fields(draw, low, high, *, wraps=True):
    """A whole field: (text, what it means)."""
    parts = draw(st.lists(items(low, high, wraps=wraps), min_size=1, max_size=3))
    return ",".join(text for text, _ in parts), set().union(*(meaning for _, meaning in parts))


def week(day: date) -> int:
    """1 is Sunday."""
    return day.isoweekday() % 7 + 1


def length(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def nearest_workday(day: date, target: int) -> bool:
    """By trying the days around the target, nearest first, and inside the month only."""
    if target > length(day):
        return False
    for distance in (0, -1, 1, -2, 2):
        if 1 <= target + distance <= length(day) and week(day.replace(day=target + distance)) not in (1, 7):
            return day.day == target + distance
    raise AssertionError("no workday within two days")


@st.composite
def eventbridge_days(draw):
    """(day-of-month, day-of-week, the dates that they mean)."""
    kind = draw(st.sampled_from(["numbers", "weekdays", "L", "W", "LW", "nL", "#"]))
    number, weekday, nth = draw(st.integers(1, 31)), draw(st.integers(1, 7)), draw(st.integers(1, 5))
    name = draw(st.sampled_from([str(weekday), NAMES[weekday - 1], NAMES[weekday - 1].lower()]))
    if kind == "numbers":
        text, values = draw(fields(1, 31))
        return text, "?", lambda day: day.day in values
    if kind == "weekdays":
        text, values = draw(fields(1, 7))
        return "?", text, lambda day: week(day) in values
    return {
        "L": ("L", "?", lambda day: day.day == length(day)),
        "W": (f"{number}W", "?", lambda day: nearest_workday(day, number)),
        "LW": ("LW", "?", lambda day: nearest_workday(day, length(day))),
        "nL": ("?", f"{name}L", lambda day: week(day) == weekday and day.day + 7 > length(day)),
        "#": ("?", f"{name}#{nth}", lambda day: week(day) == weekday and (day.day - 1) // 7 + 1 == nth),
    }[kind]


@st.composite
def unix_days(draw):
    """(day-of-month, day-of-week, the dates that they mean)."""
    month_text, month_days = draw(fields(1, 31, wraps=False))
    week_text, week_days = draw(fields(0, 6, wraps=False))
    both = month_text[0] == "*" or week_text[0] == "*"

    def means(day):
        answers = (day.day in month_days, day.isoweekday() % 7 in week_days)
        return all(answers) if both else any(answers)

    return month_text, week_text, means


@st.composite
def crons(draw, *, sparse):
    """(expression, does it mean this wall time?); a sparse one fires at most once a day."""
    unix = draw(st.booleans())
    minute, minutes = draw(st.integers(0, 59).map(lambda n: (str(n), {n})) if sparse else fields(0, 59, wraps=not unix))
    hour, hours = draw(st.integers(0, 23).map(lambda n: (str(n), {n})) if sparse else fields(0, 23, wraps=not unix))
    # most minute-wise windows would be empty with random days
    every_day = ("*", "*" if unix else "?", lambda _: True)
    days = unix_days() if unix else eventbridge_days()
    month_day, weekday, means = draw(days if sparse else st.one_of(st.just(every_day), days))
    month, months = draw(st.one_of(st.just(("*", set(range(1, 13)))), fields(1, 12, wraps=not unix)))
    text = f"{minute} {hour} {month_day} {month} {weekday}"
    return (
        text if unix else f"cron({text} *)",
        lambda wall: wall.minute in minutes and wall.hour in hours and wall.month in months and means(wall.date()),
    )


def oracle(means: Means, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Every minute strictly between the instants whose wall time is meant, first passes only."""
    moments = []
    moment = start.replace(second=0, microsecond=0)
    while moment < end:
        local = moment.astimezone(zone)
        if moment > start and local.fold == 0 and means(local):
            moments.append(moment)
        moment += timedelta(minutes=1)
    return moments


def firings(parsed: schedule.Schedule, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    return list(
        itertools.takewhile(lambda moment: moment < end, (firing.at for firing in parsed.firings(start, timezone=zone)))
    )


@settings(max_examples=150, deadline=None)
@given(crons(sparse=False), st.sampled_from(CHANGES), st.integers(0, 24 * 3600), st.integers(60, 36 * 3600))
def test_firings_are_those_that_a_scan_of_all_minutes_finds(cron, change, lead, duration):
    (expression, means), (name, instant) = cron, change
    zone = ZoneInfo(name)
    start = datetime.fromisoformat(instant) - timedelta(seconds=lead)
    end = start + timedelta(seconds=duration)
    parsed = schedule.parse(expression)
    expected = oracle(means, zone, start, end)
    assert firings(parsed, zone, start, end) == expected
    before = parsed.previous_before(end, timezone=zone)
    if expected:
        assert before == expected[-1]
    else:
        assert before is None or before <= start


@settings(max_examples=150, deadline=None)
@given(crons(sparse=True), st.sampled_from(CHANGES), st.integers(0, 4 * 365))
def test_days_are_those_that_a_scan_of_all_days_finds(cron, change, lead):
    (expression, means), (name, instant) = cron, change
    zone = ZoneInfo(name)
    start = datetime.fromisoformat(instant) - timedelta(days=lead)
    end = start + timedelta(days=400)
    parsed = schedule.parse(expression)
    assert isinstance(parsed, schedule.Cron)
    hour, minute = parsed.hours[0], parsed.minutes[0]
    expected = []
    for days in range(-2, 403):
        wall = datetime.combine((start + timedelta(days=days)).date(), datetime.min.time()).replace(
            hour=hour, minute=minute
        )
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        exists = moment.astimezone(zone).replace(tzinfo=None) == wall
        if exists and start < moment < end and means(wall):
            expected.append(moment)
    assert firings(parsed, zone, start, end) == expected
    for before, due in itertools.pairwise(expected):
        assert parsed.next_after(before, timezone=zone) == due
        assert parsed.previous_before(due, timezone=zone) == before


@settings(max_examples=150, deadline=None)
@given(st.booleans().flatmap(lambda sparse: crons(sparse=sparse)), st.sampled_from(CHANGES), st.data())
def test_next_and_previous_agree(cron, change, data):
    (expression, _), (zone, instant) = cron, change
    parsed = schedule.parse(expression)
    start = datetime.fromisoformat(instant) - timedelta(hours=5)
    found = [firing.at for firing in itertools.islice(parsed.firings(start, timezone=zone), 25)]
    assert found == sorted(set(found))
    assume(len(found) > 1)
    seconds = int((found[-1] - start).total_seconds())
    moment = start + timedelta(seconds=data.draw(st.integers(0, seconds)))
    after, before = bisect_right(found, moment), bisect_left(found, moment)
    assert parsed.next_after(moment, timezone=zone) == (found[after] if after < len(found) else None) or after == 25
    if before:
        assert parsed.previous_before(moment, timezone=zone) == found[before - 1]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 5000),
    st.sampled_from(["minute", "minutes", "hour", "hours", "day", "days"]),
    st.integers(-(10**9), 10**9),
)
def test_rates_are_multiples_from_their_anchor(value, unit, seconds):
    parsed = schedule.parse(f"rate({value} {unit})")
    assert isinstance(parsed, schedule.Rate)
    anchor = datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC)
    moment = anchor + timedelta(seconds=seconds)
    due = parsed.next_after(moment, anchor=anchor)
    before = parsed.previous_before(moment, anchor=anchor)
    assert due
    assert (due - anchor) % parsed.interval == timedelta(0)
    assert due > moment
    assert due == anchor or due - moment <= parsed.interval
    if before is None:
        assert moment <= anchor
    else:
        assert timedelta(0) < moment - before <= parsed.interval
        assert (before - anchor) % parsed.interval == timedelta(0)


@settings(max_examples=150, deadline=None)
@given(crons(sparse=False), st.sampled_from(CHANGES))
def test_the_eventbridge_rendering_means_the_same(cron, change):
    (expression, _), (zone, instant) = cron, change
    parsed = schedule.parse(expression)
    try:
        rendered = parsed.to_eventbridge()
    except ScheduleError as error:
        assert "EventBridge" in error.message
        return
    again = schedule.parse(rendered)
    moment = datetime.fromisoformat(instant) - timedelta(hours=3)
    assert again == parsed
    assert again.to_eventbridge() == rendered
    assert again.next_after(moment, timezone=zone) == parsed.next_after(moment, timezone=zone)


CHARACTERS = "0123456789*?/,-LW#()@ \t\n:TZ+._\uff11\u0663\u00a0"
CHUNKS = ["cron(", "rate(", "at(", "? ", " *", " * * ? *)", "MON", "jan", "minutes)", "2026-01-01", "T00:00", "@daily"]
PIECES = st.sampled_from([*CHARACTERS, *CHUNKS, "99999999999999999999"])
WORDS = st.lists(PIECES, max_size=14).map("".join)
#: Right in the number of fields, so that the fields themselves are looked at.
FIELDS = st.lists(st.text("0123456789*?/,-LWMON#", min_size=1, max_size=5), min_size=5, max_size=6).map(" ".join)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(), WORDS, FIELDS, FIELDS.map(lambda text: f"cron({text})"), WORDS.map(lambda w: f"cron({w})")))
def test_any_text_is_a_schedule_or_a_schedule_error(text):
    try:
        parsed = schedule.parse(text)
    except ScheduleError as error:
        assert re.fullmatch(r"[^\n]+", error.message)
        return
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    due = parsed.next_after(moment, timezone="Europe/Berlin")
    assert due is None or due > moment
    with contextlib.suppress(ScheduleError):
        assert schedule.parse(parsed.to_eventbridge()) == parsed


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_any_text_is_a_zone_or_a_schedule_error(text):
    with contextlib.suppress(ScheduleError):
        assert str(schedule.find_zone(text)) == text
