"""The clock's part: knows when schedules are due and adds their runs. It executes nothing.

A firing is unique by (job, trigger, fire time), so that a restart, or two engines, fire it once. What was due while
nobody looked (the engine was down, the machine slept, the clock jumped) is dealt with by the trigger's `catch_up`; what
is not made up for goes into the ledger of missed firings, and is said aloud.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from wherry import announcements, lifecycle, schedule
from wherry.local.clock import Clock
from wherry.local.consequences import Consequences
from wherry.local.database import Database, Transaction
from wherry.local.firings import Firing, Firings
from wherry.local.intake import Intake
from wherry.model import Event, JobFile, ScheduleTrigger

#: Firings that are looked at after an absence, at most, the newest: a minute's schedule comes to this in a week.
_MOST_FIRINGS = 10_000
#: Missed firings of one schedule that are told one by one; of more only the newest.
_MOST_TOLD = 100
#: How often runs that do not begin are looked for.
_LATE_PULSE = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class Clockwork:
    """One schedule trigger of one job, ready to compute."""

    job: str
    trigger: ScheduleTrigger
    schedule: schedule.Schedule
    #: The instant from which `rate()` counts.
    anchor: datetime
    #: The last firing that was dealt with; before the first one the anchor.
    since: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        """The first firing after that moment."""
        return self.schedule.next_after(moment, timezone=self.trigger.timezone, anchor=self.anchor)

    def due(self, after: datetime, now: datetime) -> list[datetime]:
        """The firings after a moment, up to now."""

        def firings() -> Iterator[datetime]:
            moment = self.next_after(after)
            while moment is not None and moment <= now:
                yield moment
                moment = self.next_after(moment)

        found = list(islice(firings(), _MOST_FIRINGS + 1))
        return found if len(found) <= _MOST_FIRINGS else self._newest(now)

    def _newest(self, now: datetime) -> list[datetime]:
        """The last firings up to now, as many as are looked at."""
        found: deque[datetime] = deque()
        moment: datetime | None = now + timedelta(seconds=1)
        while len(found) < _MOST_FIRINGS and moment is not None:
            moment = self.schedule.previous_before(moment, timezone=self.trigger.timezone, anchor=self.anchor)
            if moment is not None:
                found.appendleft(moment)
        return list(found)

    def event(self, fires_at: datetime) -> Event:
        """The event of a firing."""
        previous = self.schedule.previous_before(fires_at, timezone=self.trigger.timezone, anchor=self.anchor)
        return announcements.firing(self.job, self.trigger, previous or fires_at, fires_at)


def clockworks(jobfile: JobFile, firings: Firings, now: datetime, *, keep: bool = True) -> list[Clockwork]:
    """The schedules of a job file; those that are seen for the first time begin now, and that is kept."""
    triggers = [
        (job.name, trigger)
        for job in jobfile.jobs.values()
        for trigger in job.triggers
        if isinstance(trigger, ScheduleTrigger)
    ]
    known = firings.anchor([(job, trigger.label) for job, trigger in triggers], now) if keep else firings.known()
    found = []
    for job, trigger in triggers:
        firing = known.get((job, trigger.label), Firing(anchor=now, last=None))
        found.append(
            Clockwork(
                job=job,
                trigger=trigger,
                schedule=schedule.parse(trigger.expression),
                anchor=firing.anchor,
                # A clock that was ahead does not keep a schedule silent: what was fired then is known by its cause.
                since=firing.anchor if firing.last is None else min(firing.last, now),
            )
        )
    return found


def upcoming(jobfile: JobFile, firings: Firings, now: datetime) -> list[tuple[datetime, str]]:
    """The next firing of each schedule: (when, job), in order."""
    found = [(clockwork.next_after(now), clockwork.job) for clockwork in clockworks(jobfile, firings, now, keep=False)]
    return sorted((due, job) for due, job in found if due is not None)


def overdue(jobfile: JobFile, firings: Firings, now: datetime) -> list[tuple[datetime, str]]:
    """The firings of which nobody knows, because no engine runs: (when, job), in order."""
    latest = now - lifecycle.FIRING_GRACE
    works = clockworks(jobfile, firings, now, keep=False)
    return sorted((due, work.job) for work in works for due in work.due(work.since, latest)[-_MOST_TOLD:])


class Scheduler:
    """All schedules of a job file, the next firing first."""

    def __init__(
        self,
        jobfile: JobFile,
        database: Database,
        firings: Firings,
        intake: Intake,
        consequences: Consequences,
        clock: Clock,
    ) -> None:
        self._database = database
        self._firings = firings
        self._intake = intake
        self._consequences = consequences
        self._clock = clock
        self._late_at: datetime | None = None
        self._heap: list[tuple[datetime, int, Clockwork, datetime]] = []
        self._jobfile = jobfile
        self._seen = clock()
        self._fill()

    def _fill(self) -> None:
        self._heap = []
        for clockwork in clockworks(self._jobfile, self._firings, self._seen):
            self._push(clockwork, clockwork.since)

    def turn(self, now: datetime) -> datetime | None:
        """Fire what is due; gives the time of the next firing, None when there is none."""
        was_set_back = now < self._seen - lifecycle.FIRING_GRACE
        self._seen = now
        if was_set_back:
            self._fill()
        due = []
        while self._heap and self._heap[0][0] <= now:
            _, _, clockwork, since = heapq.heappop(self._heap)
            due.append((clockwork, clockwork.due(since, now)))
        if due:
            self._fire(due, now)
        self._look_for_late(now)
        return self._heap[0][0] if self._heap else None

    def _push(self, clockwork: Clockwork, since: datetime) -> None:
        due = clockwork.next_after(since)
        if due is not None:
            heapq.heappush(self._heap, (due, id(clockwork), clockwork, since))

    def _fire(self, due: list[tuple[Clockwork, list[datetime]]], now: datetime) -> None:
        def work(transaction: Transaction) -> None:
            for clockwork, firings in due:
                self._deal_with(transaction, clockwork, firings, now)

        try:
            self._database.write(work)
        except BaseException:
            for clockwork, firings in due:  # not on disk: due once more
                heapq.heappush(self._heap, (firings[0], id(clockwork), clockwork, firings[0] - timedelta(seconds=1)))
            raise
        for clockwork, firings in due:
            self._push(clockwork, firings[-1])

    def _deal_with(
        self, transaction: Transaction, clockwork: Clockwork, firings: list[datetime], now: datetime
    ) -> None:
        label = clockwork.trigger.label
        taken, missed = lifecycle.catch_up(clockwork.trigger.catch_up, firings, now=now)
        for moment in taken:
            self._intake.fire(transaction, clockwork.job, label, clockwork.event(moment))
        for moment in missed[-_MOST_TOLD:]:
            is_last = moment == missed[-1]
            more = f", nor for {len(missed) - 1} before it" if is_last and len(missed) > 1 else ""
            self._miss(transaction, clockwork.job, label, moment, f"no engine ran{more}", now, report=is_last)
        self._firings.keep(transaction, clockwork.job, label, firings[-1])

    def _miss(
        self,
        transaction: Transaction,
        job: str,
        trigger: str,
        fires_at: datetime,
        reason: str,
        now: datetime,
        *,
        late: bool = False,
        report: bool = True,
    ) -> None:
        if self._firings.miss(
            transaction, job=job, trigger=trigger, fires_at=fires_at, reason=reason, now=now, late=late
        ):
            event = announcements.missed(job, trigger, fires_at, reason, now=now)
            self._consequences.missed(transaction, event, now, report=report)

    def _look_for_late(self, now: datetime) -> None:
        """Tell of runs that were due long ago and have not begun, each once."""
        if self._late_at is not None and self._late_at > now > self._late_at - _LATE_PULSE:
            return
        self._late_at = now + _LATE_PULSE
        late = self._firings.late(now - lifecycle.START_GRACE)
        if not late:
            return

        def work(transaction: Transaction) -> None:
            for run in late:
                trigger, _, moment = run.cause.rpartition(" ")
                awaited = "a free place" if run.admitted else "a free place, or for another run of the job to end"
                reason = f"run {run.run_id} has not begun: it waits for {awaited}"
                fires_at = _moment(moment) or run.created_at
                self._miss(transaction, run.job, trigger, fires_at, reason, now, late=True)

        self._database.write(work)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
