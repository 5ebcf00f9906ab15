"""Time zones, and clocks that are put forward and back."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from wherry import schedule
from wherry.errors import ScheduleError


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def first(expression: str, zone: str, after: str, count: int) -> list[schedule.Firing]:
    return list(itertools.islice(schedule.parse(expression).firings(at(after), timezone=zone), count))


def test_a_skipped_firing_is_told_with_the_next_one():
    before, after, later = first("cron(30 2 * * ? *)", "America/New_York", "2026-03-07T00:00:00Z", 3)
    assert (before.at, before.note) == (at("2026-03-07T07:30:00Z"), "")
    assert after.at == at("2026-03-09T06:30:00Z")
    assert after.local.isoformat() == "2026-03-09T02:30:00-04:00"
    assert after.note == "skipped 2026-03-08 02:30, which does not exist in America/New_York"
    assert later.note == ""


def test_many_skipped_firings_are_told_in_one_line():
    (firing,) = first("cron(0/20 * * * ? *)", "Europe/Berlin", "2026-03-29T00:40:00Z", 1)
    assert firing.at == at("2026-03-29T01:00:00Z")
    assert firing.note == "skipped 3 from 2026-03-29 02:00 to 02:40, which do not exist in Europe/Berlin"


def test_skipped_firings_of_several_years_are_told_with_their_dates():
    # 29 March is the day of the change in 2026, 2037 and 2043
    (firing,) = first("cron(30 2 29 3 ? 2026,2037,2040)", "Europe/Berlin", "2026-01-01T00:00:00Z", 1)
    assert firing.at == at("2040-03-29T00:30:00Z")
    assert firing.note == "skipped 2 from 2026-03-29 02:30 to 2037-03-29 02:30, which do not exist in Europe/Berlin"


def test_a_repeated_hour_is_passed_once():
    found = first("cron(0/30 * * * ? *)", "Europe/Berlin", "2026-10-24T23:30:00Z", 5)
    assert [firing.at for firing in found] == [
        at("2026-10-25T00:00:00Z"),
        at("2026-10-25T00:30:00Z"),
        at("2026-10-25T02:00:00Z"),
        at("2026-10-25T02:30:00Z"),
        at("2026-10-25T03:00:00Z"),
    ]
    assert [firing.note for firing in found] == [
        "02:00 happens twice in Europe/Berlin, this is the first",
        "02:30 happens twice in Europe/Berlin, this is the first",
        "",
        "",
        "",
    ]


def test_within_the_second_pass_the_first_one_is_over():
    parsed = schedule.parse("cron(30 2 * * ? *)")
    second_pass = at("2026-10-25T01:10:00Z")  # 02:10 for the second time
    assert parsed.next_after(second_pass, timezone="Europe/Berlin") == at("2026-10-26T01:30:00Z")
    assert parsed.previous_before(second_pass, timezone="Europe/Berlin") == at("2026-10-25T00:30:00Z")


def test_an_interval_over_the_skipped_hour_is_whole():
    parsed = schedule.parse("cron(30 2 * * ? *)")
    due = at("2026-03-09T06:30:00Z")
    assert parsed.previous_before(due, timezone="America/New_York") == at("2026-03-07T07:30:00Z")


def test_at_in_a_gap_fires_when_the_clocks_jump():
    (firing,) = first("at(2026-03-29T02:30:00)", "Europe/Berlin", "2026-01-01T00:00:00Z", 2)
    assert firing.at == at("2026-03-29T01:00:00Z")
    assert firing.local.isoformat() == "2026-03-29T03:00:00+02:00"
    assert firing.note == "02:30 does not exist in Europe/Berlin on this day, this is when the clocks jump over it"


@pytest.mark.parametrize(
    ("wall", "zone", "due"),
    [
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("2026-03-08T02:00", "America/New_York", "2026-03-08T07:00:00Z"),
    ],
)
def test_other_gaps(wall, zone, due):
    assert schedule.parse(f"at({wall})").next_after(at("2000-01-01T00:00:00Z"), timezone=zone) == at(due)


def test_at_in_a_repeated_hour_is_the_first_instant():
    (firing,) = first("at(2026-10-25T02:30:00)", "Europe/Berlin", "2026-01-01T00:00:00Z", 2)
    assert firing.at == at("2026-10-25T00:30:00Z")
    assert firing.note == "02:30 happens twice in Europe/Berlin, this is the first"


def test_a_day_that_a_country_left_out_does_not_fire():
    found = first("cron(0 12 * * ? *)", "Pacific/Apia", "2011-12-29T00:00:00Z", 2)
    assert [firing.local.date().isoformat() for firing in found] == ["2011-12-29", "2011-12-31"]
    assert found[1].note == "skipped 2011-12-30 12:00, which does not exist in Pacific/Apia"


def test_zones_may_be_given_as_objects():
    parsed = schedule.parse("cron(0 9 * * ? *)")
    moment = at("2026-07-01T00:00:00Z")
    assert parsed.next_after(moment, timezone=ZoneInfo("Europe/Berlin")) == at("2026-07-01T07:00:00Z")
    assert parsed.next_after(moment, timezone=timezone(timedelta(hours=-3))) == at("2026-07-01T12:00:00Z")
    due = parsed.next_after(moment)
    assert due
    assert due.tzinfo is UTC


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("europe/berlin", "did you mean `Europe/Berlin`?"),
        ("EUROPE/BERLIN", "did you mean `Europe/Berlin`?"),
        ("Europe/Berln", "did you mean `Europe/Berlin`?"),
        ("Berlin", "did you mean `Europe/Berlin`?"),
        ("New York", "did you mean `America/New_York`?"),
        ("utc", "did you mean `UTC`?"),
        (" UTC", "did you mean `UTC`?"),
        ("", "write an IANA name such as `Europe/Berlin`, or `UTC`"),
        ("+02:00", "write an IANA name such as `Europe/Berlin`, or `UTC`"),
        ("localtime", None),
        ("right/Europe/Berlin", "did you mean `Europe/Berlin`?"),
        ("posixrules", None),
        ("Europe", None),
        (".", None),
        ("../../etc/passwd", None),
        ("/etc/localtime", None),
        ("Europe/../UTC", None),
        ("Europe/Berlin\0", None),
    ],
)
def test_unknown_zones_are_refused_with_the_nearest_name(name, hint):
    with pytest.raises(ScheduleError) as caught:
        schedule.find_zone(name)
    assert caught.value.message.startswith("there is no time zone `")
    assert "\0" not in caught.value.message
    assert caught.value.hint
    assert hint in (None, caught.value.hint)


def test_an_unknown_zone_is_refused_before_the_first_firing():
    parsed = schedule.parse("cron(0 9 * * ? *)")
    for ask in (parsed.next_after, parsed.previous_before, parsed.firings):
        with pytest.raises(ScheduleError, match="there is no time zone `Mars/Base`"):
            ask(at("2026-07-01T00:00:00Z"), timezone="Mars/Base")
