"""The dispatcher tells what a firing covers as the engine does."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.aws.expressions import evaluate
from wherry import schedule
from wherry.aws.firing import BEFORE, interval_of
from wherry.model import ScheduleTrigger

EXPRESSIONS = [
    "cron(0 5 * * ? *)",
    "cron(30 2 * * ? *)",
    "cron(0/15 * * * ? *)",
    "cron(* * * * ? *)",
    "cron(0 9,17 ? * MON-FRI *)",
    "cron(0 0 1 * ? *)",
    "cron(0 0 L * ? *)",
    "cron(5 4 15W * ? *)",
    "cron(0 12 ? * 3#2 *)",
    "cron(0 12 ? * 6L *)",
    "cron(0 0 29 2 ? *)",
    "cron(0 0 1 1 ? 2027,2029)",
    "15 3 * * 1",
    "0 1-3 * * *",
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago"]


def before(trigger, at):
    milliseconds = int(at.timestamp() * 1000)
    found = evaluate(
        "{% (" + BEFORE + " $before($calendar, $at)) %}", calendar=interval_of(trigger)["calendar"], at=milliseconds
    )
    return datetime.fromtimestamp(found / 1000, UTC)


@settings(deadline=None, max_examples=60)
@given(
    expression=st.sampled_from(EXPRESSIONS),
    zone=st.sampled_from(ZONES),
    moment=st.datetimes(datetime(2026, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive ones
)
def test_it_walks_back_as_the_engine_does(expression, zone, moment):
    trigger = ScheduleTrigger(expression=expression, timezone=zone)
    parsed = schedule.parse(expression)
    at = parsed.next_after(moment.replace(tzinfo=UTC), timezone=zone)
    if at is None:
        return
    assert before(trigger, at) == (parsed.previous_before(at, timezone=zone) or at)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("zone", ZONES[1:4])
def test_it_knows_the_changes_of_the_clocks(expression, zone):
    trigger, parsed = ScheduleTrigger(expression=expression, timezone=zone), schedule.parse(expression)
    for change in (
        datetime(2026, 3, 8, tzinfo=UTC),
        datetime(2026, 3, 29, tzinfo=UTC),
        datetime(2026, 10, 25, tzinfo=UTC),
    ):
        at = change
        for _ in range(4):
            at = parsed.next_after(at + timedelta(minutes=23), timezone=zone)
            if at is None:
                break
            assert before(trigger, at) == (parsed.previous_before(at, timezone=zone) or at), at


def test_other_kinds():
    assert interval_of(ScheduleTrigger(expression="rate(5 minutes)")) == {"period": 300}
    assert interval_of(ScheduleTrigger(expression="at(2026-03-01T00:00:00)")) == {"period": 0}
