"""The clock's part: knows when schedules are due and adds their runs. It executes nothing.

A firing is unique by (job, trigger, fire time), so that a restart, or two engines, fire it once. Firings that were
missed by more than `GRACE` (the machine slept, the engine was down) are left out: one does not make up for a night in
a burst.
"""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from wherry import schedule
from wherry.local.intake import Intake
from wherry.local.runs import Runs
from wherry.model import LOCAL_ACCOUNT, LOCAL_REGION, Event, JobFile, ScheduleTrigger, iso_seconds, new_event

#: A firing this late is still taken.
GRACE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Clockwork:
    """One schedule trigger of one job, ready to compute."""

    job: str
    trigger: ScheduleTrigger
    schedule: schedule.Schedule
    #: The instant from which `rate()` counts.
    anchor: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        """The first firing after that moment."""
        return self.schedule.next_after(moment, timezone=self.trigger.timezone, anchor=self.anchor)

    def event(self, fires_at: datetime) -> Event:
        """The event of a firing: EventBridge's "Scheduled Event", with what it covers in its detail."""
        previous = self.schedule.previous_before(fires_at, timezone=self.trigger.timezone, anchor=self.anchor)
        moment = iso_seconds(fires_at)
        detail: dict[str, object] = {"schedule": self.trigger.expression, "scheduled-time": moment}
        detail["interval"] = {"start": iso_seconds(previous or fires_at), "end": moment}
        name = f"{self.job} {self.trigger.label} {moment}"
        return new_event(
            "aws.events",
            "Scheduled Event",
            detail,
            now=fires_at,
            event_id=str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
            resources=[f"arn:aws:events:{LOCAL_REGION}:{LOCAL_ACCOUNT}:rule/{self.job}"],
        )


def clockworks(jobfile: JobFile, runs: Runs, now: datetime) -> Iterator[Clockwork]:
    """The schedules of a job file."""
    for job in jobfile.jobs.values():
        for trigger in job.triggers:
            if isinstance(trigger, ScheduleTrigger):
                anchor = runs.firing(job.name, trigger.label, now=now).anchor
                parsed = schedule.parse(trigger.expression)
                yield Clockwork(job=job.name, trigger=trigger, schedule=parsed, anchor=anchor)


def upcoming(jobfile: JobFile, runs: Runs, now: datetime) -> list[tuple[datetime, str]]:
    """The next firing of each schedule: (when, job), in order."""
    firings = [(clockwork.next_after(now), clockwork.job) for clockwork in clockworks(jobfile, runs, now)]
    return sorted((due, job) for due, job in firings if due is not None)


class Scheduler:
    """All schedules of a job file, the next firing first."""

    def __init__(self, jobfile: JobFile, runs: Runs, intake: Intake, *, now: datetime) -> None:
        self._intake = intake
        self._heap: list[tuple[datetime, int, Clockwork]] = []
        for clockwork in clockworks(jobfile, runs, now):
            self._push(clockwork, now)

    def turn(self, now: datetime) -> datetime | None:
        """Fire what is due; gives the time of the next firing, None when there is none."""
        while self._heap and self._heap[0][0] <= now:
            due, _, clockwork = heapq.heappop(self._heap)
            if now - due <= GRACE:
                self._intake.fire(clockwork.job, clockwork.trigger.label, clockwork.event(due), due)
                self._push(clockwork, due)
            else:
                self._push(clockwork, now - GRACE)
        return self._heap[0][0] if self._heap else None

    def _push(self, clockwork: Clockwork, after: datetime) -> None:
        due = clockwork.next_after(after)
        if due is not None:
            heapq.heappush(self._heap, (due, id(clockwork), clockwork))
