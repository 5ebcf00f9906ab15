"""Intervals of a backfill: whole ones that lie side by side, each of one cause."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from wherry import announcements, intervals, schedule
from wherry.intervals import Interval
from wherry.model import ScheduleTrigger, iso_seconds

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)

#: Around the changes of the clocks, too.
moments = st.one_of(
    st.integers(0, 365 * 24 * 3600).map(lambda seconds: NOW + seconds * SECOND),
    st.sampled_from(["2026-03-29T00:00+01:00", "2026-10-25T00:00+02:00"]).map(
        lambda text: datetime.fromisoformat(text).astimezone(UTC)
    ),
)
triggers = st.builds(
    ScheduleTrigger,
    expression=st.sampled_from(
        ["rate(1 hour)", "rate(7 minutes)", "rate(1 day)", "cron(0 * * * ? *)", "30 2 * * *", "cron(0 6 ? * MON-FRI *)"]
    ),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
)
spans = st.one_of(st.timedeltas(timedelta(0), DAY), st.integers(0, 9).map(lambda days: days * DAY))


def of_schedule(expression, since, until, timezone="UTC"):
    trigger = ScheduleTrigger(expression=expression, timezone=timezone)
    return list(intervals.of_schedule(trigger, since, until))


def are_side_by_side(found):
    return all(before.end == after.start for before, after in itertools.pairwise(found))


@settings(deadline=None)
@given(triggers, moments, spans)
def test_the_intervals_of_a_schedule_are_the_whole_ones_between_its_firings(trigger, since, span):
    until = since + span
    found = list(intervals.of_schedule(trigger, since, until))
    parsed = schedule.parse(trigger.expression)
    firings = parsed.firings(since - DAY * 5, timezone=trigger.timezone, anchor=since)
    inside = [
        at for at in itertools.takewhile(lambda at: at <= until, (firing.at for firing in firings)) if at >= since
    ]
    assert found == [Interval(start, end) for start, end in itertools.pairwise(inside)]


@settings(deadline=None)
@given(triggers, moments, spans, st.timedeltas(timedelta(0), SECOND))
@example(ScheduleTrigger(expression="cron(0 * * * ? *)"), NOW, DAY, timedelta(milliseconds=500))
def test_no_interval_reaches_out_of_the_span(trigger, since, span, fraction):
    since += fraction
    found = list(intervals.of_schedule(trigger, since, since + span))
    assert are_side_by_side(found)
    assert all(since <= interval.start < interval.end <= since + span for interval in found)


@settings(deadline=None)
@given(st.timedeltas(SECOND, 3 * DAY), moments, spans)
def test_equal_lengths_fill_the_span_without_a_gap(length, since, span):
    until = since + span
    found = list(itertools.islice(intervals.every(length, since, until), 2000))
    whole = len(found) < 2000
    assert are_side_by_side(found)
    assert all(interval.end - interval.start == length for interval in found[:-1])
    assert bool(found) == bool(span)
    if found:
        assert found[0].start == since
        assert timedelta(0) < found[-1].end - found[-1].start <= length
        assert not whole or found[-1].end == until


@settings(deadline=None)
@given(st.timedeltas(SECOND, DAY), moments, spans, st.sampled_from(["", "a", "b"]))
def test_each_interval_has_a_cause_of_its_own_and_keeps_it(length, since, span, tag):
    found = list(itertools.islice(intervals.every(length, since, since + span), 500))
    causes = [intervals.cause(interval, tag) for interval in found]
    assert len(set(causes)) == len(causes)
    assert causes == [intervals.cause(Interval(*interval), tag) for interval in found]
    assert not {intervals.cause(interval, "c") for interval in found} & set(causes)


@settings(deadline=None)
@given(triggers.filter(lambda trigger: not trigger.expression.startswith("rate")), moments, st.integers(1, 9))
def test_a_backfill_is_of_the_same_cause_whichever_way_one_writes_the_span(trigger, since, days):
    longer = list(intervals.of_schedule(trigger, since, since + days * DAY))
    shorter = list(intervals.of_schedule(trigger, since + DAY, since + days * DAY))
    assert {intervals.cause(one, "") for one in shorter} <= {intervals.cause(one, "") for one in longer}


def test_a_rate_counts_from_where_the_span_begins():
    since = NOW + timedelta(minutes=17)
    found = of_schedule("rate(1 hour)", since, since + timedelta(hours=2, minutes=59))
    assert found == [Interval(since, since + HOUR), Interval(since + HOUR, since + 2 * HOUR)]


def test_days_are_those_of_the_zone_when_the_clocks_change():
    spring = datetime(2026, 3, 27, 23, tzinfo=UTC)
    found = of_schedule("0 0 * * *", spring, spring + 3 * DAY, "Europe/Berlin")
    assert [interval.end - interval.start for interval in found] == [24 * HOUR, 23 * HOUR, 24 * HOUR]
    autumn = datetime(2026, 10, 23, 22, tzinfo=UTC)
    found = of_schedule("0 0 * * *", autumn, autumn + 4 * DAY, "Europe/Berlin")
    assert [interval.end - interval.start for interval in found] == [24 * HOUR, 25 * HOUR, 24 * HOUR]


def test_an_hour_that_is_skipped_belongs_to_the_interval_around_it():
    since = datetime(2026, 3, 28, 1, 30, tzinfo=UTC)
    found = of_schedule("30 2 * * *", since, since + 3 * DAY, "Europe/Berlin")
    assert [interval.end - interval.start for interval in found] == [47 * HOUR, 24 * HOUR]


def test_a_schedule_that_fires_once_has_no_intervals():
    assert of_schedule("at(2026-03-01T00:00:00)", NOW - DAY, NOW + DAY) == []


@settings(deadline=None)
@given(triggers, moments)
def test_an_interval_has_the_event_and_the_cause_that_its_firing_would_have(trigger, since):
    for interval in itertools.islice(intervals.of_schedule(trigger, since, since + 9 * DAY), 3):
        event = intervals.event("job", trigger, interval)
        assert event == announcements.firing("job", trigger, interval.start, interval.end)
        # as `Intake.fire` makes it
        assert intervals.firing_cause(trigger, interval) == f"{trigger.label} {event.document['time']}"


def test_an_interval_without_a_schedule_has_an_event_too():
    interval = Interval(NOW, NOW + HOUR)
    event = intervals.event("job", None, interval)
    assert event.detail["interval"] == {"start": iso_seconds(NOW), "end": iso_seconds(NOW + HOUR)}
    assert str(interval) == "2026-03-01T00:00:00Z - 2026-03-01T01:00:00Z"
