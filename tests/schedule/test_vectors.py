"""Firings computed by other evaluators, and expressions that AWS is known to accept."""

from __future__ import annotations

import itertools
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from wherry import schedule

VECTORS = [json.loads(line) for line in (Path(__file__).parent / "vectors.jsonl").read_text("utf-8").splitlines()]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def first(expression: str, after: str, count: int, **how: Any) -> list[datetime]:
    firings = schedule.parse(expression).firings(at(after), **how)
    return [firing.at for firing in itertools.islice(firings, count)]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['expression']} {vector['after']}")
def test_vector(vector):
    parsed = schedule.parse(vector["expression"])
    zone = vector.get("timezone", "UTC")
    expected = [at(moment) for moment in vector["next"]]
    assert first(vector["expression"], vector["after"], 3, timezone=zone) == expected
    moment = at(vector["after"])
    for due in expected:
        assert parsed.next_after(moment, timezone=zone) == due
        moment = due
    for before, due in itertools.pairwise(expected):
        assert parsed.previous_before(due, timezone=zone) == before
    assert schedule.parse(parsed.to_eventbridge()) == parsed


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        (
            "cron(30 1 * * ? *)",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
        ),
        (
            "cron(30 2 * * ? *)",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        ),
    ],
)
def test_a_repeated_wall_time_fires_once_at_the_first_instant(expression, zone, after, expected):
    assert first(expression, after, 2, timezone=zone) == [at(moment) for moment in expected]


@pytest.mark.parametrize(
    ("expression", "anchor", "after", "expected"),
    [
        ("rate(5 minutes)", "2026-04-01T10:02:00Z", "2026-04-01T10:02:00Z", ["01T10:07", "01T10:12", "01T10:17"]),
        ("rate(1 hour)", "2026-04-01T10:02:00Z", "2026-04-01T23:30:00Z", ["02T00:02", "02T01:02", "02T02:02"]),
        ("rate(2 days)", "2026-03-27T00:00:00Z", "2026-03-31T12:00:00Z", ["02T00:00", "04T00:00", "06T00:00"]),
    ],
)
def test_rate_counts_from_its_anchor(expression, anchor, after, expected):
    assert first(expression, after, 3, anchor=at(anchor)) == [at(f"2026-04-{moment}:00Z") for moment in expected]


def test_a_daily_rate_counts_24_hours_over_a_change_of_the_clocks():
    start = "2026-03-07T14:00:00Z"
    found = first("rate(1 day)", start, 3, timezone="America/New_York", anchor=at(start))
    assert found == [at(f"2026-03-{day:02}T14:00:00Z") for day in (8, 9, 10)]


def test_rate_fires_at_its_anchor_and_not_before():
    anchor = at("2026-04-01T10:02:00Z")
    parsed = schedule.parse("rate(2 hours)")
    assert parsed.next_after(at("2026-01-01T00:00:00Z"), anchor=anchor) == anchor
    assert parsed.previous_before(anchor, anchor=anchor) is None
    assert parsed.previous_before(at("2026-04-01T10:02:01Z"), anchor=anchor) == anchor
    assert parsed.previous_before(at("2026-04-01T12:02:00Z"), anchor=anchor) == anchor
    assert parsed.previous_before(at("2026-04-01T12:02:01Z"), anchor=anchor) == at("2026-04-01T12:02:00Z")


def test_rate_without_an_anchor_counts_from_the_question():
    moment = at("2026-04-01T10:02:00Z")
    parsed = schedule.parse("rate(90 minutes)")
    assert parsed.next_after(moment) == at("2026-04-01T11:32:00Z")
    assert parsed.previous_before(moment) == at("2026-04-01T08:32:00Z")
    assert first("rate(90 minutes)", "2026-04-01T10:02:00Z", 2) == [
        at("2026-04-01T11:32:00Z"),
        at("2026-04-01T13:02:00Z"),
    ]


def test_rate_ends_with_the_calendar():
    parsed = schedule.parse("rate(999999999 days)")
    assert parsed.next_after(at("2026-04-01T10:02:00Z")) is None
    assert parsed.previous_before(at("2026-04-01T10:02:00Z")) is None


@pytest.mark.parametrize(
    ("expression", "zone", "due"),
    [
        ("at(2026-07-01T09:00:00)", "Europe/Berlin", "2026-07-01T07:00:00Z"),
        ("AT(2026-07-01T09:00)", "Europe/Berlin", "2026-07-01T07:00:00Z"),
        ("at(2026-01-15T09:00:00)", "America/New_York", "2026-01-15T14:00:00Z"),
        ("at(2026-01-15T09:00:59)", "UTC", "2026-01-15T09:00:59Z"),
    ],
)
def test_at_fires_once(expression, zone, due):
    parsed = schedule.parse(expression)
    assert first(expression, "2026-01-01T00:00:00Z", 3, timezone=zone) == [at(due)]
    assert parsed.next_after(at(due), timezone=zone) is None
    assert parsed.previous_before(at(due), timezone=zone) is None
    assert parsed.previous_before(at("2027-01-01T00:00:00Z"), timezone=zone) == at(due)


@pytest.mark.parametrize(
    "expression",
    [
        "cron(0 2 ? * SAT *)",
        "cron(5,35 14 * * ? *)",
        "cron(15 10 ? * 6L 2002-2005)",
        "cron(0 2 ? * SAT#3 *)",
        "cron(* * ? * SAT#3 *)",
        "cron(0/5 5 ? JAN 1-5 2022)",
        "cron(0 8 1 * ? *)",
        "cron(0/30 0-2 ? * MON-FRI *)",
        "cron(0-15/1 8-8 ? * 2,3,4,5,6,7 *)",
        "cron(30-30 13-13 ? * 2,4,6 *)",
        "cron(1-31/30 1-1 ? * 1,7 *)",
        "cron(*/15 * * * ? *)",
        "cron(0-59/10 0-23/2 ? * * *)",
        "cron(0 4 ? * 1/2 *)",
        "cron(00 08 * * ? *)",
        "at(2022-12-31T23:59:59)",
        "rate(1 minutes)",
        "rate(1 hours)",
        "rate(1 days)",
        "rate(10 minute)",
        "rate(10 hour)",
        "rate(10 day)",
        "cron(0 12 * * ?)",
    ],
)
def test_scheduler_accepts(expression):
    parsed = schedule.parse(expression)
    assert schedule.parse(parsed.to_eventbridge()) == parsed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cron(0/15 * * * ? *)", "cron(0,15,30,45 * ? * 1-7 *)"),
        ("cron(0 12 * * ?)", "cron(0 12 * * ? *)"),
        ("cron(0 20-2/2 * * ? *)", "cron(0 0,2,20,22 * * ? *)"),
        ("cron(0 21-2/2 * * ? *)", "cron(0 21,23,1 * * ? *)"),
        ("cron(0 0 25-5 * ? *)", "cron(0 0 1-5,25-31 * ? *)"),
        ("cron(0 0 ? * FRI-MON/2 *)", "cron(0 0 ? * fri,sun *)"),
        ("cron(0\t0  1  NOV-FEB ? *)", "cron(0 0 1 11,12,1,2 ? *)"),
        ("cron(0 0 lw * ? *)", "cron(0 0 LW * ? *)"),
        ("cron(0 0 ? * 6l *)", "cron(0 0 ? * FRIL *)"),
        ("cron(0 0 ? * 7#3 *)", "cron(0 0 ? * sat#3 *)"),
        ("cron(0 0 ? * L *)", "cron(0 0 ? * SAT *)"),
        ("30 2 * * 1-5", "cron(30 2 ? * MON-FRI *)"),
        ("rate(05 minutes)", "rate(5 minute)"),
        ("AT(2026-07-01T09:00)", "at(2026-07-01T09:00:00)"),
    ],
)
def test_schedules_compare_by_meaning(one, other):
    assert schedule.parse(one) == schedule.parse(other)
    assert hash(schedule.parse(one)) == hash(schedule.parse(other))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(0 12 * * ?)", "cron(0 12 * * ? *)"),
        ("cron(0/15  20-2 ?\t* mon-fri *)", "cron(0/15 20-2 ? * MON-FRI *)"),
        ("rate(1 minutes)", "rate(1 minute)"),
        ("rate(07 hour)", "rate(7 hours)"),
        ("AT(2026-07-01T09:00)", "at(2026-07-01T09:00:00)"),
    ],
)
def test_rendering_keeps_eventbridge_expressions(expression, expected):
    assert schedule.parse(expression).to_eventbridge() == expected


def test_a_schedule_prints_its_meaning():
    assert repr(schedule.parse("cron(0/15 8 ? * MON-FRI 2026)")) == (
        "Cron(expression='cron(0/15 8 ? * MON-FRI 2026)', minutes=range(0, 46, 15), hours=(8,), "
        "days=Weekdays(weekdays=range(2, 7)), months=range(1, 13), years=(2026,))"
    )


@pytest.mark.parametrize("expression", ["cron(0 0 30 2 ? *)", "cron(0 0 31W 4,6 ? *)", "0 0 30 2 *", "0 0 31 4 *"])
def test_what_never_fires_says_so(expression):
    parsed = schedule.parse(expression)
    assert parsed.next_after(at("2026-01-01T00:00:00Z")) is None
    assert parsed.previous_before(at("2026-01-01T00:00:00Z")) is None


def test_the_ends_of_time_are_no_trap():
    parsed = schedule.parse("cron(* * * * ? *)")
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        assert parsed.next_after(at("9999-12-31T23:59:59Z"), timezone=zone) is None
        assert parsed.previous_before(at("0001-01-01T00:00:00Z"), timezone=zone) is None
        first_minute = parsed.next_after(at("0001-01-01T00:00:00Z"), timezone=zone)
        last_minute = parsed.previous_before(at("9999-12-31T23:59:59Z"), timezone=zone)
        zone_of = schedule.find_zone(zone)
        assert first_minute
        assert last_minute
        assert first_minute.astimezone(zone_of).isoformat()[:16] == "1970-01-01T00:00"
        assert last_minute.astimezone(zone_of).isoformat()[:16] == "2199-12-31T23:59"


@pytest.mark.parametrize(
    ("wall", "zone", "due"),
    [
        ("9999-12-31T23:59:59", "Pacific/Kiritimati", "9999-12-31T09:59:59Z"),
        ("9999-12-31T23:59:59", "Pacific/Pago_Pago", None),
        ("0001-01-01T00:00:00", "Asia/Tokyo", None),
    ],
)
def test_at_the_ends_of_the_calendar(wall, zone, due):
    parsed = schedule.parse(f"at({wall})")
    assert parsed.next_after(at("2026-01-01T00:00:00Z"), timezone=zone) == (at(due) if due else None)
    assert parsed.previous_before(at("2026-01-01T00:00:00Z"), timezone=zone) is None


def test_far_firings_are_found_at_once():
    friday = schedule.parse("0 0 */28 2 5")  # a Friday that is the 1st or the 29th of February
    assert friday.next_after(at("2030-02-02T00:00:00Z")) == at("2036-02-01T00:00:00Z")
    assert friday.next_after(at("2036-02-01T00:00:00Z")) == at("2036-02-29T00:00:00Z")
    leap_monday = schedule.parse("cron(0 0 29 2 ? 2096)")
    assert leap_monday.next_after(at("2026-01-01T00:00:00Z")) == at("2096-02-29T00:00:00Z")
    assert leap_monday.previous_before(at("2199-01-01T00:00:00Z")) == at("2096-02-29T00:00:00Z")


def test_naive_datetimes_are_refused():
    parsed = schedule.parse("rate(1 day)")
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    for ask in (parsed.next_after, parsed.previous_before, parsed.firings):
        with pytest.raises(ValueError, match="has no time zone"):
            ask(naive)


def test_moments_in_other_zones_are_the_same_moments():
    parsed = schedule.parse("cron(0 10 * * ? *)")
    assert parsed.next_after(at("2026-03-01T12:00:00+02:00")) == at("2026-03-02T10:00:00Z")
    assert parsed.next_after(at("2026-03-01T11:59:59+02:00")) == at("2026-03-01T10:00:00Z")
