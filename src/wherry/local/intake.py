"""Events become runs here, and nowhere else: uploads, events, firings and hands all come through this door."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from wherry import announcements, causes, pattern
from wherry.local.bus import RuleIndex
from wherry.local.clock import Clock
from wherry.local.database import Database, Transaction
from wherry.local.feeding import Feeding
from wherry.local.holding import Holding
from wherry.local.runs import Runs
from wherry.model import Bucket, Event, EventTrigger, JobFile, QueueTrigger, Run, complete_event
from wherry.target import Wish


@dataclass(frozen=True)
class _Feeds:
    """Names a rule: its events become messages of a queue."""

    queue: str


class Host(Protocol):
    """Whoever executes runs, as the intake knows it."""

    #: Who it is: `pid:start time`.
    me: str

    def offer(self, run: Run) -> object:
        """A new run waits."""
        ...

    def reserve(self, job: str) -> bool:
        """True when a run of the job could begin at once; its place is kept for `begin` or `release`."""
        ...

    def begin(self, run: Run) -> object:
        """A new run, claimed in the transaction that added it, is on disk: begin it in the reserved place."""
        ...

    def release(self) -> object:
        """Give a reserved place back."""
        ...


class Intake:
    """Matches events to triggers and queues; adds runs and messages, at most one per job or queue and cause."""

    def __init__(
        self,
        jobfile: JobFile,
        database: Database,
        runs: Runs,
        clock: Clock,
        host: Callable[[], Host],
        feeding: Callable[[], Feeding],
        holding: Callable[[], Holding],
    ) -> None:
        self._database = database
        self._runs = runs
        self._clock = clock
        self._host = host
        self._feeding = feeding
        self._holding = holding
        self.use(jobfile)

    def use(self, jobfile: JobFile) -> None:
        """From now on match the triggers of this job file."""
        feeds = [(_Feeds(queue), document) for queue, document in causes.feeds_of(jobfile, _local_name)]
        wanted: list[tuple[tuple[str, str] | _Feeds, dict[str, Any]]] = [*feeds]
        wanted += causes.documents_of(jobfile, _local_name)
        self._rules = RuleIndex([(name, pattern.parse(document)) for name, document in wanted])
        #: Somebody may want to know what runs do: their changes of state are worth an event.
        self.watches_runs = any(causes.may_watch_runs(document) for _, document in wanted)

    def accept(self, *events: Event) -> list[str]:
        """Take events, all or none; gives the ids of the new runs. They are on disk, and offered to the engine.

        Raises UserError for an event that is too large for a job that it starts.
        """
        for event in events:
            causes.check_size(event, self._started_by)

        def work(transaction: Transaction) -> list[str]:
            return [run_id for event in events for run_id in self.accept_within(transaction, event)]

        return self._database.write(work)

    def _started_by(self, event: Event) -> list[str]:
        """The jobs with an `event` trigger that an event starts."""
        found = [name for name in self._rules.match(event.document) if not isinstance(name, _Feeds)]
        return [job for job, kind in found if kind == EventTrigger.kind]

    def accept_within(self, transaction: Transaction, event: Event) -> list[str]:
        """Take an event as a part of a larger transaction, e.g. the one that creates the object it speaks of."""
        added = []
        now = self._clock()
        cause = causes.cause_of(event)
        led_here = announcements.chain_of(event)
        found = self._rules.match(event.document)
        for feeds in [name for name in found if isinstance(name, _Feeds)]:
            self._feeding().feed(transaction, feeds.queue, event, now)
        for job, kind in dict(name for name in found if not isinstance(name, _Feeds)).items():
            if job in led_here:
                continue
            run = self._add(transaction, job=job, trigger=kind, cause=cause, event=event, now=now)
            if run:
                added.append(run.id)
        return added

    def fire(self, transaction: Transaction, job: str, trigger: str, event: Event) -> str | None:
        """Take the firing of a job's schedule; None when that firing has its run already."""
        cause = f"{trigger} {event.document['time']}"
        run = self._add(transaction, job=job, trigger="schedule", cause=cause, event=event, now=self._clock())
        return run.id if run else None

    def employ(self, job: str, queue: str, number: int) -> list[str]:
        """Add so many workers of a job that poll a queue by themselves; gives the ids of their runs."""
        now = self._clock()

        def work(transaction: Transaction) -> list[str]:
            added = [
                self._add(
                    transaction,
                    job=job,
                    trigger=QueueTrigger.kind,
                    cause=causes.cause_of_worker(queue, str(uuid.uuid4())),
                    event=announcements.worker(queue, now=now),
                    now=now,
                    own_event=True,
                )
                for _ in range(number)
            ]
            return [run.id for run in added if run]

        return self._database.write(work)

    def by_hand(self, wish: Wish, *, owner: str | None = None) -> str | None:
        """Take a person's wish to run a job now; None when the job has a run of that cause already.

        With an `owner` that process executes it, else an engine does.
        """
        now = self._clock()
        event = wish.event or complete_event({}, now=now)
        cause = wish.cause or f"manual:{uuid.uuid4()}"

        def work(transaction: Transaction) -> str | None:
            add = partial(
                self._add if owner is None else self._runs.add,
                transaction,
                job=wish.job,
                trigger=wish.trigger,
                cause=cause,
                event=event,
                now=now,
                overrides=wish.overrides,
                own_event=True,
            )
            run = add() if owner is None else add(owner=owner)
            return run.id if run else None

        return self._database.write(work)

    def again(self, run_id: str, *, owner: str | None = None) -> bool:
        """Give an ended run another round; False when it has not ended badly."""
        now = self._clock()

        def work(transaction: Transaction) -> bool:
            if not self._runs.another_round(transaction, run_id, now, owner):
                return False
            run = self._runs.read(transaction, run_id)
            self._holding().hold_again(transaction, run)
            if owner is None:
                transaction.after_commit(partial(self._host().offer, run))
            return True

        return self._database.write(work)

    def _add(self, transaction: Transaction, *, job: str, **more: Any) -> Run | None:
        """Add a run for the engine, if there is one here already claimed: that saves a transaction and a detour."""
        host = self._host()
        if not host.reserve(job):
            run = self._runs.add(transaction, job=job, **more)
            if run:
                transaction.after_commit(partial(host.offer, run))
            return run
        transaction.otherwise(host.release)  # at once: a statement may be what fails
        run = self._runs.add(transaction, job=job, owner=host.me, claimed=True, **more)
        transaction.after_commit(partial(host.begin, run) if run else host.release)
        return run


def _local_name(bucket: Bucket) -> str:
    return bucket.local_name
