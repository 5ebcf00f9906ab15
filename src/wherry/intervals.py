"""The intervals of a backfill: which there are in a span of time, and what makes each of them one run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from wherry import announcements, schedule
from wherry.model import Event, ScheduleTrigger, iso_seconds


class Interval(NamedTuple):
    """[start, end): what one run covers."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{iso_seconds(self.start)} - {iso_seconds(self.end)}"


def of_schedule(trigger: ScheduleTrigger, since: datetime, until: datetime) -> Iterator[Interval]:
    """What the firings of a schedule cover, as far as it is whole within [since, until)."""
    parsed = schedule.parse(trigger.expression)
    start = parsed.next_after(since - timedelta(seconds=1), timezone=trigger.timezone, anchor=since)
    while start is not None and start < since:
        start = parsed.next_after(start, timezone=trigger.timezone, anchor=since)
    while start is not None:
        end = parsed.next_after(start, timezone=trigger.timezone, anchor=since)
        if end is None or end > until:
            return
        yield Interval(start, end)
        start = end


def every(length: timedelta, since: datetime, until: datetime) -> Iterator[Interval]:
    """Equal lengths from `since` on; the last one is shorter where they do not come out even."""
    start = since
    while start < until:
        yield Interval(start, min(start + length, until))
        start += length


def cause(interval: Interval, tag: str) -> str:
    """What makes the backfill of an interval one run of its job: again only under another tag."""
    return f"backfill{f'[{tag}]' if tag else ''}: {iso_seconds(interval.start)}/{iso_seconds(interval.end)}"


def firing_cause(trigger: ScheduleTrigger, interval: Interval) -> str:
    """The cause of the run that the schedule itself has made of an interval."""
    return f"{trigger.label} {iso_seconds(interval.end)}"


def event(job: str, trigger: ScheduleTrigger | None, interval: Interval) -> Event:
    """The event of a run that covers an interval: as a schedule would have made it at the interval's end."""
    made = trigger or ScheduleTrigger(expression="backfill")
    return announcements.firing(job, made, interval.start, interval.end)
